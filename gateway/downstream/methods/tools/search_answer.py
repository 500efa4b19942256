"""The answer of tool_search as the JSON text that a model reads, within the room that it may take."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.downstream.methods.tools.tool_rendering import compact_schema, shorten, signature_of, summarize
from gateway.json_codec import assemble
from gateway.search.finder import MAX_MORE
from gateway.search.request import FoundTool, SearchOutcome, SearchRequest
from gateway.settings import Settings

Detail = Literal["auto", "full", "brief"]

_NOTHING_FOUND = (
    "No tool matches. Describe what the tool should do in other or more general words, one task at a time, or leave "
    "out category and server."
)
_NAMED_BELOW = "No tool matches well; `more` names the nearest. " + _NOTHING_FOUND.partition(". ")[2]

_CHARACTERS_PER_TOKEN = 4
_WHOLE_DEFINITIONS = 2
_DESCRIPTION_CHARACTERS, _SIGNATURE_CHARACTERS = 300, 300
# Where many tools have to share the room.
_SHORTEST_DESCRIPTION_CHARACTERS, _SHORTEST_SIGNATURE_CHARACTERS = 80, 120
_LEAST_DESCRIPTION_CHARACTERS, _LEAST_SIGNATURE_CHARACTERS = 40, 40
_TITLE_CHARACTERS = 100
# Hints are a line of JSON; what is longer is something else, and only whole definitions have it.
_ANNOTATIONS_CHARACTERS = 500
_LINE_SUMMARY_CHARACTERS, _LINE_SIGNATURE_CHARACTERS = 100, 120
_MORE_SHARE = 0.25
# Of the room: one query is repeated in it as it was, several only where they leave room for tools.
_QUERY_SHARE, _QUERIES_SHARE = 0.4, 0.125
_MIN_QUERY_BYTES = 40
# Each tool repeats those that found it: as they are where all are short, else as short as they can still be told apart.
_TOOL_QUERY_BYTES = (24, 40, 80)
_NOTICE_BYTES = 300


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How answers are written.

    `detail`: "auto" shows whole definitions of the best two and signatures of the others, "full" whole ones of all,
    "brief" names and descriptions. `tokens` is the room of an answer, at four characters each; "full" may take more.
    With `path_names` tools are named `server/tool`.
    """

    detail: Detail
    tokens: int
    path_names: bool

    @property
    def room(self) -> int:
        """The room of an answer in characters. What is written is measured in bytes, so that texts in scripts of which
        a character is a token or more take accordingly more of it."""
        return self.tokens * _CHARACTERS_PER_TOKEN


def answer_format(settings: Settings, detail: Detail | None = None) -> AnswerFormat:
    """The format that the settings mean, or a search that asks for a `detail`."""
    search = settings.search
    return AnswerFormat(detail or search.detail, search.answer_tokens, settings.mcp.names == "path")


def format_search_answer(
    request: SearchRequest,
    outcome: SearchOutcome,
    answer_format: AnswerFormat,
    unconnected: frozenset[str] = frozenset(),
) -> str:
    """JSON with its keys in the order of the contract.

    What upstreams gave as JSON goes in as it stands: parsing it only to write it again would take most of the time.
    Tools that found no room have a line in `more`. Those of the servers `unconnected` say that they need a connection.
    """
    queries = _repeated_queries(request, answer_format)
    writer = _Writer(_told_apart(queries) if request.is_multi_query else None, answer_format, unconnected)
    answer: dict[str, Any] = {"queries": queries} if request.is_multi_query else {"query": queries[0]}
    answer["total_found"] = outcome.total_found
    rest: dict[str, Any] = {"notice": _within(outcome.notice, _NOTICE_BYTES)} if outcome.notice else {}
    if not outcome.tools:
        rest = {"message": _NAMED_BELOW if outcome.more else _NOTHING_FOUND, **rest}
    room = answer_format.room - len(assemble({**answer, "tools": [], "more": [], **rest}))
    most = int(answer_format.room * _MORE_SHARE)
    more = writer.lines(outcome.more, min(most, room))
    tools = writer.tools(outcome.tools, room - _length(more))
    if len(tools) < len(outcome.tools):
        tools = writer.tools(outcome.tools, room - most)
        unwritten = (*outcome.tools[len(tools) :], *outcome.more)[:MAX_MORE]
        more = writer.lines(unwritten, min(most, room - _length(tools)))
    answer["tools"] = tools
    if more:
        answer["more"] = more
    elif not tools:
        rest["message"] = _NOTHING_FOUND
    return assemble({**answer, **rest}).decode()


def _repeated_queries(request: SearchRequest, answer_format: AnswerFormat) -> list[str]:
    """The queries as the answer repeats them: cut where they would take the room of the tools."""
    share = _QUERIES_SHARE if request.is_multi_query else _QUERY_SHARE
    size = max(int(answer_format.room * share) // len(request.queries), _MIN_QUERY_BYTES)
    return [_within(query, size) for query in request.queries]


def _told_apart(queries: Sequence[str]) -> list[str]:
    """The queries, where one of them is long as short as all of them still differ."""
    if all(len(query.encode()) <= _TOOL_QUERY_BYTES[-1] for query in queries):
        return list(queries)
    for size in _TOOL_QUERY_BYTES:
        short = [_within(query, size) for query in queries]
        if len(set(short)) == len(set(queries)):
            return short
    return list(queries)


def _within(text: str, size: int) -> str:
    """`text` as it is, or shortened to so many bytes as JSON."""
    if len(assemble(text)) - 2 <= size:
        return text
    flat = " ".join(text.split())
    longest = bisect_right(
        range(2, size + 1), size, key=lambda characters: len(assemble(shorten(flat, characters))) - 2
    )
    return shorten(flat, longest + 1)


def _length(written: Sequence[bytes]) -> int:
    """In bytes, with a comma after each."""
    return sum(len(each) + 1 for each in written)


class _Writer:
    """Writes the tools of one answer, each as JSON text."""

    def __init__(self, queries: Sequence[str] | None, answer_format: AnswerFormat, unconnected: frozenset[str]) -> None:
        """Each tool says which of `queries` found it, where there are any."""
        self._queries = queries
        self._unconnected = unconnected
        self._format = answer_format

    def tools(self, tools: Sequence[FoundTool], room: int) -> list[bytes]:
        """The tools, as much of each as the detail and the room, in bytes, allow: of the best one something always."""
        if self._format.detail == "full":
            return [self._whole(tool) for tool in tools]
        forms = [self._brief, self._short, self._shortest]
        if self._format.detail == "auto":
            forms = [self._short, self._shortest]
        for form in forms:
            written = [form(tool) for tool in tools]
            if _length(written) <= room:
                break
        if written and len(written[0]) >= room:
            written = [self._least(tool) for tool in tools]
        left = room - _length(written)
        while len(written) > 1 and left < 0:
            left += len(written.pop()) + 1
        if self._format.detail == "brief":
            return written
        for place, tool in enumerate(tools[: min(_WHOLE_DEFINITIONS, len(written))]):
            # At least its schema whole, where only the description is long.
            for whole in (self._whole(tool), self._with_schema(tool)):
                growth = len(whole) - len(written[place])
                if growth <= left:
                    left -= growth
                    written[place] = whole
                    break
        return written

    def lines(self, tools: Sequence[FoundTool], room: int) -> list[bytes]:
        """A line for each of these tools, as many as fit into so many bytes."""
        written: list[bytes] = []
        for tool in tools:
            line = assemble(
                {
                    "name": self._name(tool),
                    "summary": summarize(tool.description, _LINE_SUMMARY_CHARACTERS),
                    "signature": signature_of(tool.name, tool.input_schema_json, _LINE_SIGNATURE_CHARACTERS),
                    "score": round(tool.match.score, 4),
                }
            )
            room -= len(line) + 1
            if room < 0:
                break
            written.append(line)
        return written

    def _name(self, tool: FoundTool) -> str:
        return f"{tool.server}/{tool.name}" if self._format.path_names and not tool.is_renamed else tool.exposed_name

    def _whole(self, tool: FoundTool) -> bytes:
        return self._tool(tool, tool.description, {"inputSchema": compact_schema(tool.input_schema_json).encode()})

    def _with_schema(self, tool: FoundTool) -> bytes:
        schema = {"inputSchema": compact_schema(tool.input_schema_json).encode()}
        return self._tool(tool, shorten(tool.description, _DESCRIPTION_CHARACTERS), schema, _ANNOTATIONS_CHARACTERS)

    def _brief(self, tool: FoundTool) -> bytes:
        return self._tool(tool, tool.description, {}, _ANNOTATIONS_CHARACTERS)

    def _short(self, tool: FoundTool) -> bytes:
        parameters = self._signature(tool, _SIGNATURE_CHARACTERS)
        return self._tool(tool, shorten(tool.description, _DESCRIPTION_CHARACTERS), parameters, _ANNOTATIONS_CHARACTERS)

    def _shortest(self, tool: FoundTool) -> bytes:
        parameters = self._signature(tool, _SHORTEST_SIGNATURE_CHARACTERS)
        return self._tool(tool, shorten(tool.description, _SHORTEST_DESCRIPTION_CHARACTERS), parameters, 0)

    def _least(self, tool: FoundTool) -> bytes:
        parameters = self._signature(tool, _LEAST_SIGNATURE_CHARACTERS)
        return self._tool(
            replace(tool, title=None), shorten(tool.description, _LEAST_DESCRIPTION_CHARACTERS), parameters, 0
        )

    def _signature(self, tool: FoundTool, characters: int) -> dict[str, str]:
        if self._format.detail == "brief":
            return {}
        return {"signature": signature_of(tool.name, tool.input_schema_json, characters)}

    def _tool(
        self, tool: FoundTool, description: str, parameters: Mapping[str, Any], annotations: int | None = None
    ) -> bytes:
        """A tool with its parameters in that form; `annotations`, and a long title, only within so many characters."""
        formatted: dict[str, Any] = {"name": self._name(tool), "description": description}
        if tool.title is not None:
            formatted["title"] = tool.title if annotations is None else shorten(tool.title, _TITLE_CHARACTERS)
        if tool.annotations_json is not None and (annotations is None or len(tool.annotations_json) <= annotations):
            formatted["annotations"] = tool.annotations_json.encode()
        if tool.icons_json is not None and self._format.detail == "full":
            formatted["icons"] = tool.icons_json.encode()
        match = tool.match
        metadata: dict[str, Any] = {
            "server": tool.server,
            "tool": tool.name,
            "category": tool.category,
            "score": round(match.score, 4),
            "similarity": None if match.similarity is None else round(match.similarity, 4),
        }
        if tool.server in self._unconnected:
            metadata["needs"] = "connection"
        if self._queries is not None:
            metadata["queries"] = [self._queries[position] for position in match.query_positions]
        return assemble({**formatted, **parameters, "_metadata": metadata})
