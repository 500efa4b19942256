"""The scan of definitions: every text of each, against every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import passages
from gateway.catalog.scan.finding import Finding, Neighbour
from gateway.catalog.scan.hidden import hidden
from gateway.catalog.scan.letters import as_read
from gateway.catalog.scan.shadow import Neighbourhood
from gateway.catalog.scan.wording import worded
from gateway.catalog.scan.wrapped import wrapped

_MOST_FINDINGS = 20
_LONGEST = 50_000


def scan(definitions: Sequence[Mapping[str, Any]], others: Sequence[Neighbour]) -> list[tuple[Finding, ...]]:
    """What is found in each of a server's definitions, the gravest first, given the tools of other servers.

    At most 20 findings each, one of a rule at a place.
    """
    neighbourhood = Neighbourhood(others, {definition["name"] for definition in definitions})
    return [_scan(definition, neighbourhood) for definition in definitions]


def _scan(definition: Mapping[str, Any], neighbourhood: Neighbourhood) -> tuple[Finding, ...]:
    found = list(neighbourhood.posing(definition))
    for passage in passages(definition):
        found += hidden(passage)
        if passage.name:
            found += worded(passage.place, " ".join(split_words(passage.text)))
            continue
        text = passage.text[:_LONGEST]
        found += worded(passage.place, as_read(text))
        found += wrapped(passage.place, text)
        found += neighbourhood.meddling(passage)
    gravest = sorted(found, key=lambda finding: ("high", "medium", "low").index(finding.severity))
    distinct = {(finding.rule, finding.place): finding for finding in reversed(gravest)}
    return tuple(reversed(distinct.values()))[:_MOST_FINDINGS]
