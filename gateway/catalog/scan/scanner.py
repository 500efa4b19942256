"""The scan of definitions: every text of each, against every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import iter_texts
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.hidden_text import find_hidden_text
from gateway.catalog.scan.letters import normalize_text
from gateway.catalog.scan.other_tools import OtherTools
from gateway.catalog.scan.wording import find_wording
from gateway.catalog.scan.wrapped_text import find_wrapped_text

_MAX_FINDINGS = 20
_MAX_TEXT_CHARACTERS = 50_000


def scan_definitions(
    definitions: Sequence[Mapping[str, Any]], others: Sequence[OtherTool]
) -> list[tuple[Finding, ...]]:
    """What is found in each of a server's definitions, the gravest first, given the tools of other servers.

    At most 20 findings each, one of a rule at a place.
    """
    other_tools = OtherTools(others, {definition["name"] for definition in definitions})
    return [_scan(definition, other_tools) for definition in definitions]


def _scan(definition: Mapping[str, Any], other_tools: OtherTools) -> tuple[Finding, ...]:
    found = list(other_tools.find_impersonation(definition))
    for part in iter_texts(definition):
        found += find_hidden_text(part)
        if part.is_name:
            found += find_wording(part.place, " ".join(split_words(part.text)))
            continue
        text = part.text[:_MAX_TEXT_CHARACTERS]
        found += find_wording(part.place, normalize_text(text))
        found += find_wrapped_text(part.place, text)
        found += other_tools.find_interference(part)
    gravest = sorted(found, key=lambda finding: ("high", "medium", "low").index(finding.severity))
    distinct = {(finding.rule, finding.place): finding for finding in reversed(gravest)}
    return tuple(reversed(distinct.values()))[:_MAX_FINDINGS]
