"""The scan of definitions: every text of each, against every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import DefinitionText, iter_texts
from gateway.catalog.scan.finding import Finding
from gateway.catalog.scan.hidden_text import find_hidden_text
from gateway.catalog.scan.letters import iter_readings, normalize_text
from gateway.catalog.scan.other_tools import OtherTools, ScannedServer
from gateway.catalog.scan.wording import find_wording
from gateway.catalog.scan.wrapped_text import find_wrapped_text

_MAX_FINDINGS = 20


def scan_definitions(
    definitions: Sequence[Mapping[str, Any]],
    ids: Sequence[int | None],
    server: ScannedServer,
    others: OtherTools,
    *,
    beside_others_only: bool = False,
) -> list[tuple[Finding, ...]]:
    """What is found in each of a server's definitions, the gravest first, given the tools of its tenant.

    At most 20 findings each, one of a rule at a place. `ids` are those of the tools, None of a tool that was not listed
    before. `beside_others_only`: by the rules that look at other servers' tools, and no others.
    """
    found = []
    for definition, tool_id in zip(definitions, ids, strict=True):
        parts = list(iter_texts(definition))
        beside = list(others.find_impersonation(server, tool_id, definition["name"]))
        for part in parts:
            beside += others.find_interference(server, part)
        alone = [] if beside_others_only else _find_alone(parts)
        found.append(_gravest([*beside, *alone]))
    return found


def scan_texts(definition: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What is found in the texts of anything else that a server says of itself or offers."""
    return _gravest(_find_alone(list(iter_texts(definition))))


def _find_alone(parts: Sequence[DefinitionText]) -> list[Finding]:
    """What is found in texts whatever other servers there are."""
    found = [finding for part in parts for finding in _find_in(part)]
    return [*found, *_find_split(parts, found)]


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
