"""Names that pass for a tool of another server, and texts that interfere with one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.catalog.category import split_words
from gateway.catalog.scan.definition_text import DefinitionText
from gateway.catalog.scan.finding import Finding, OtherTool
from gateway.catalog.scan.letters import normalize_name, skeleton

SHADOWS, STEERS = "shadows another tool", "steers other tools"
"""The rules that look at the tools of other servers."""

# Names of one or two words are anybody's: search, list_files.
_DISTINCTIVE_WORDS = 3
_INTERFERES = re.compile(
    r"\b(?:instead of|deprecated|never be|must never|must not|always|whenever|when|before|after|replaces?|every)\b",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"\w+(?:[_-]+\w+)*")
_MAX_EXCERPT_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class ScannedServer:
    """Whose tools are scanned: its id, and the names of its own tools, for to speak of those is its right.

    `prefixed`: they are shown under the server's name, which tells one from that of another server under its own.
    """

    id: int
    own_names: Collection[str]
    prefixed: bool


class OtherTools:
    """The tools of a tenant, looked up by what they look like."""

    def __init__(self, tools: Iterable[OtherTool]) -> None:
        self._by_name = _ToolsByKey()
        self._without_prefix = _ToolsByKey()
        self._by_prefix = _ToolsByKey()
        self._by_skeleton = _ToolsByKey()
        self._by_exposed = _ToolsByKey()
        self._mentioned = _ToolsByKey()
        self._prefixes: dict[str, None] = {}
        # Whose tool was there first passes for no other.
        for other in sorted(tools, key=lambda tool: tool.id):
            bare = normalize_name(other.name)
            self._by_name.add(bare, other)
            self._by_exposed.add(normalize_name(other.exposed_name), other)
            if len(bare) > 3:
                self._by_skeleton.add(skeleton(other.name), other)
            if other.exposed_name == other.name:
                self._without_prefix.add(bare, other)
            if len(prefix := normalize_name(other.slug)) > 3:
                self._prefixes[prefix] = None
                self._by_prefix.add(f"{prefix} {bare}", other)
            for name in dict.fromkeys((other.name, other.exposed_name)):
                if ("_" in name or "-" in name) and len(split_words(name)) > 1:
                    self._mentioned.add(name, other)

    def find_impersonation(self, scanned: ScannedServer, tool_id: int | None, name: str) -> Iterator[Finding]:
        """Findings about the name of a tool of a server; `tool_id` is None where it was not listed before."""

        def earlier(tools: _ToolsByKey, key: str) -> OtherTool | None:
            tool = tools.first(key, scanned.id)
            return tool if tool is not None and (tool_id is None or tool.id < tool_id) else None

        bare = normalize_name(name)
        if (other := earlier(self._by_exposed, bare)) is not None:
            yield _impersonation(name, other, "high", "is called as clients know")
        elif earlier(self._by_name, bare) is not None:
            # Where both are shown under the names of their servers, nobody takes one for the other.
            other = earlier(self._without_prefix if scanned.prefixed else self._by_name, bare)
            if other is not None:
                severity = "medium" if len(split_words(name)) >= _DISTINCTIVE_WORDS else "low"
                yield _impersonation(name, other, severity, "has the same name as")
        elif (other := earlier(self._by_skeleton, skeleton(name))) is not None:
            yield _impersonation(name, other, "high", "looks like the name of")
        else:
            for prefix in self._prefixes:
                if bare.startswith(prefix) and (
                    other := earlier(self._by_prefix, f"{prefix} {bare.removeprefix(prefix)}")
                ):
                    yield _impersonation(name, other, "medium", "is called as if it were")

    def find_interference(self, scanned: ScannedServer, part: DefinitionText) -> Iterator[Finding]:
        """Findings about a text of a server's tool that speaks of another server's, whichever was there first."""
        if part.is_name or not _INTERFERES.search(part.text):
            return
        for match in _IDENTIFIER.finditer(part.text):
            if match[0] in scanned.own_names:
                continue
            other = self._mentioned.first(match[0], scanned.id)
            if other is not None:
                yield Finding(
                    STEERS,
                    part.place,
                    "medium",
                    part.text[max(0, match.start() - 60) : match.end() + 60][:_MAX_EXCERPT_CHARACTERS],
                    f"It tells what to do with {match[0]}, a tool of the server {other.server}.",
                )
                return


class _ToolsByKey:
    """The first tool under each key, and the first of another server than that one's: a server may list thousands under
    one key.
    """

    def __init__(self) -> None:
        self._tools: dict[str, tuple[OtherTool, OtherTool | None]] = {}

    def add(self, key: str, tool: OtherTool) -> None:
        """Those that were there first are added first."""
        first, second = self._tools.get(key, (tool, None))
        if second is None and tool.server_id != first.server_id:
            second = tool
        self._tools[key] = first, second

    def first(self, key: str, server_id: int) -> OtherTool | None:
        """The first tool of another server than that one."""
        first, second = self._tools.get(key, (None, None))
        return second if first is not None and first.server_id == server_id else first


def _impersonation(name: str, other: OtherTool, severity: Any, how: str) -> Finding:
    return Finding(
        SHADOWS,
        "/name",
        severity,
        name.encode("unicode_escape").decode()[:_MAX_EXCERPT_CHARACTERS],
        f"It {how} {other.name} of the server {other.server}.",
    )
