"""The scan of definitions: every text of each, against every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import DefinitionText, iter_texts
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.hidden_text import find_hidden_text
from gateway.catalog.scan.letters import iter_readings, normalize_text
from gateway.catalog.scan.other_tools import OtherTools
from gateway.catalog.scan.wording import find_wording
from gateway.catalog.scan.wrapped_text import find_wrapped_text

_MAX_FINDINGS = 20


def scan_definitions(
    definitions: Sequence[Mapping[str, Any]], others: Sequence[OtherTool], *, prefixed: bool = True
) -> list[tuple[Finding, ...]]:
    """What is found in each of a server's definitions, the gravest first, given the tools of other servers.

    At most 20 findings each, one of a rule at a place. `prefixed`: clients see the tools under the server's name.
    """
    other_tools = OtherTools(others, {definition["name"] for definition in definitions}, prefixed=prefixed)
    return [_scan_definition(definition, other_tools) for definition in definitions]


def scan_texts(definition: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What is found in the texts of anything else that a server says of itself or offers."""
    parts = list(iter_texts(definition))
    found = [finding for part in parts for finding in _find_in(part)]
    return _gravest([*found, *_find_split(parts, found)])


def _scan_definition(definition: Mapping[str, Any], other_tools: OtherTools) -> tuple[Finding, ...]:
    parts = list(iter_texts(definition))
    found = list(other_tools.find_impersonation(definition))
    for part in parts:
        found += _find_in(part)
        found += other_tools.find_interference(part)
    return _gravest([*found, *_find_split(parts, found)])


def _find_in(part: DefinitionText) -> Iterator[Finding]:
    yield from find_hidden_text(part)
    text = " ".join(split_words(part.text)) if part.is_name else part.text
    plainly: set[str] = set()
    for reading, disguise in iter_readings(text):
        for finding in find_wording(part.place, reading, disguise):
            # What is said plainly is not disguised because something else is.
            if finding.rule not in plainly:
                plainly.add(finding.rule)
                yield finding
    if not part.is_name:
        yield from find_wrapped_text(part.place, part.text)


def _find_split(parts: Sequence[DefinitionText], found: Sequence[Finding]) -> Iterator[Finding]:
    """What is said by several texts together, and by none of them alone."""
    title = [part.text for part in parts if part.place == "/title"]
    prose = [part.text for part in parts if not part.is_name]
    alone = {finding.rule for finding in found}
    for finding in find_wording("", normalize_text(" ".join([*title, *prose])), split=True):
        if finding.rule not in alone:
            yield finding


def _gravest(found: Sequence[Finding]) -> tuple[Finding, ...]:
    gravest = sorted(found, key=lambda finding: ("high", "medium", "low").index(finding.severity))
    distinct = {(finding.rule, finding.place): finding for finding in reversed(gravest)}
    return tuple(reversed(distinct.values()))[:_MAX_FINDINGS]
