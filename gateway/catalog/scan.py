"""Looking for what a tool's definition has no business to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.catalog.finding import Finding, Neighbour


def scan(definitions: Sequence[Mapping[str, Any]], others: Sequence[Neighbour]) -> list[tuple[Finding, ...]]:
    """What is found in each definition, given the tools of other servers."""
    return [() for _ in definitions]
