"""What is searched for, and what is found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search: a query, or several for a task of several steps; each is searched for itself, then merged.

    `category` and `server` (a name or slug) narrow it down; `max_results` is 1 to 50. `is_multi_query` says that the
    caller gave a list of queries, be it of one, and wants to be told which found what.
    """

    queries: tuple[str, ...]
    max_results: int
    category: str | None = None
    server: str | None = None
    is_multi_query: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Why a tool was found: `score` 0…1 ranks and cuts, `similarity` is the raw cosine, None without vectors.

    `query_positions` are those of the queries that found it. A tool whose name a query is, `is_named`, goes before all
    others.
    """

    tool_id: int
    score: float
    similarity: float | None
    query_positions: tuple[int, ...] = (0,)
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class FoundTool:
    """A found tool as a client is shown it. The fields that end in `_json` are JSON text, None where not given.

    `is_renamed`: an admin calls it otherwise than its server does.
    """

    match: Match
    exposed_name: str
    name: str
    server: str
    category: str
    title: str | None
    description: str
    input_schema_json: str
    annotations_json: str | None
    icons_json: str | None
    is_renamed: bool = False


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """`total_found` counts every tool at or over the threshold, `tools` holds the best of them, best first.

    `notice` says what was not as usual, empty when all was; `more` are the next best, worth a line each.
    """

    total_found: int
    tools: tuple[FoundTool, ...] = field(default=())
    notice: str = ""
    more: tuple[FoundTool, ...] = field(default=())
