"""What a gateway's metrics say."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import RunningGateway


async def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels; 0 where there are none."""
    text = (await gateway.http.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
