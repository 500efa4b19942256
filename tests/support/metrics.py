"""What a gateway's metrics say."""

from __future__ import annotations

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import RunningGateway


async def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels; 0 where there are none."""
    return _sum((await gateway.http.get("/metrics")).text, name, labels)


async def metric_at(url: str, name: str, **labels: str) -> float:
    """The same of a gateway in a process of its own."""
    async with httpx2.AsyncClient(timeout=30) as http:
        return _sum((await http.get(f"{url}/metrics")).text, name, labels)


def _sum(text: str, name: str, labels: dict[str, str]) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
