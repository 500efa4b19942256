"""Names that pass for a tool of another server, and texts that interfere with one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import DefinitionText
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.letters import normalize_name, skeleton

# Names of one or two words are anybody's: search, list_files.
_DISTINCTIVE_WORDS = 3
_INTERFERES = re.compile(
    r"\b(?:instead of|deprecated|never be|must never|must not|always|whenever|when|before|after|replaces?|every)\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"\w+(?:[_-]+\w+)*")
_MAX_EXCERPT_CHARACTERS = 160


class OtherTools:
    """The tools of other servers, looked up by what they look like."""

    def __init__(self, others: Sequence[OtherTool], own_names: Collection[str], *, prefixed: bool) -> None:
        """`own_names` are those of the server's own tools: to speak of those is its right.

        `prefixed`: they are shown under the server's name, so that one that another server has too is told from it.
        """
        self._prefixed = prefixed
        self._by_name = {normalize_name(other.name): other for other in others}
        self._by_skeleton = {skeleton(other.name): other for other in others if len(normalize_name(other.name)) > 3}
        self._by_exposed = {normalize_name(other.exposed_name): other for other in others}
        self._prefixes = {
            normalize_name(other.slug): other.slug for other in others if len(normalize_name(other.slug)) > 3
        }
        self._mentioned = {
            name: other
            for other in others
            for name in (other.name, other.exposed_name)
            if ("_" in name or "-" in name) and len(split_words(name)) > 1 and name not in own_names
        }

    def find_impersonation(self, definition: Mapping[str, Any]) -> Iterator[Finding]:
        """Findings about the name of a tool."""
        name = definition["name"]
        bare = normalize_name(name)
        if (other := self._by_exposed.get(bare)) is not None:
            yield _impersonation(name, other, "high", "is called as clients know")
        elif (other := self._by_name.get(bare)) is not None:
            apart = self._prefixed and other.exposed_name != other.name
            severity = "medium" if len(split_words(name)) >= _DISTINCTIVE_WORDS and not apart else "low"
            yield _impersonation(name, other, severity, "has the same name as")
        elif (other := self._by_skeleton.get(skeleton(name))) is not None:
            yield _impersonation(name, other, "high", "looks like the name of")
        else:
            for prefix, slug in self._prefixes.items():
                rest = bare.removeprefix(prefix)
                if rest != bare and rest in self._by_name and slug == self._by_name[rest].slug:
                    yield _impersonation(name, self._by_name[rest], "medium", "is called as if it were")

    def find_interference(self, part: DefinitionText) -> Iterator[Finding]:
        """Findings about a text that speaks of another server's tool."""
        if part.is_name or not _INTERFERES.search(part.text):
            return
        for match in _IDENTIFIER.finditer(part.text):
            other = self._mentioned.get(match[0])
            if other is not None:
                yield Finding(
                    "steers other tools",
                    part.place,
                    "medium",
                    part.text[max(0, match.start() - 60) : match.end() + 60][:_MAX_EXCERPT_CHARACTERS],
                    f"It tells what to do with {match[0]}, a tool of the server {other.server}.",
                )
                return


def _impersonation(name: str, other: OtherTool, severity: Any, how: str) -> Finding:
    return Finding(
        "shadows another tool",
        "/name",
        severity,
        name.encode("unicode_escape").decode()[:_MAX_EXCERPT_CHARACTERS],
        f"It {how} {other.name} of the server {other.server}.",
    )
