"""The arguments of the gateway's own tools, judged one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gateway.catalog.category import CATEGORIES
from gateway.errors import InvalidInputError
from gateway.search.request import SearchRequest

QUERY_CHARACTERS = 4_000
MAXIMUM_QUERIES = 8
MAXIMUM_RESULTS = 50

Detail = Literal["full", "brief"]

_SEARCH_ARGUMENTS = {"query", "queries", "category", "server", "max_results", "detail"}
_SHOWN_CHARACTERS = 60


def read_search(arguments: Mapping[str, Any], default_results: int) -> tuple[SearchRequest, Detail]:
    """The search that `arguments` ask for. Raises InvalidInputError that names the argument and what it may be."""
    for name in arguments:
        if name not in _SEARCH_ARGUMENTS:
            raise InvalidInputError(f"{_shown(name)} is no argument; there are {', '.join(sorted(_SEARCH_ARGUMENTS))}.")
    category = arguments.get("category")
    if category is not None and category not in CATEGORIES:
        raise InvalidInputError(f"category has to be one of {', '.join(CATEGORIES)}, not {_shown(category)}.")
    server = arguments.get("server")
    if server is not None and (not isinstance(server, str) or not server.strip() or "\x00" in server):
        raise InvalidInputError(f"server has to be the name of a server, not {_shown(server)}.")
    if server is not None:
        server = server.encode("utf-8", "replace").decode()
    results = arguments.get("max_results")
    if results is None:
        results = default_results
    # JSON has one kind of number: 5.0 is the whole number 5.
    if isinstance(results, float) and results.is_integer():
        results = int(results)
    if type(results) is not int or not 1 <= results <= MAXIMUM_RESULTS:
        raise InvalidInputError(
            f"max_results has to be a whole number from 1 to {MAXIMUM_RESULTS}, not {_shown(results)}."
        )
    detail: Detail = "full"
    asked = arguments.get("detail")
    if asked == "brief":
        detail = "brief"
    elif asked not in (None, "full"):
        raise InvalidInputError(f"detail has to be full or brief, not {_shown(asked)}.")
    several = arguments.get("queries") is not None
    return SearchRequest(_queries(arguments), results, category, server, several), detail


def read_call(arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and arguments of the tool to be called. Raises InvalidInputError."""
    for key in arguments:
        if key not in ("name", "arguments"):
            raise InvalidInputError(f"{_shown(key)} is no argument of tool_call; there are name and arguments.")
    name = arguments.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"name has to be the name of a tool as tool_search gives it, not {_shown(name)}.")
    passed = arguments.get("arguments")
    if passed is None:
        passed = {}
    if not isinstance(passed, Mapping):
        raise InvalidInputError(f"arguments has to be an object, not {_shown(passed)}.")
    return name, passed


def _queries(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    query, queries = arguments.get("query"), arguments.get("queries")
    if queries is None:
        if query is None:
            raise InvalidInputError("query is missing; say what the tool should do.")
        return (_query("query", query),)
    if query is not None:
        raise InvalidInputError("query and queries cannot be given together; give one of them.")
    if not isinstance(queries, list) or not 1 <= len(queries) <= MAXIMUM_QUERIES:
        raise InvalidInputError(f"queries has to be a list of 1 to {MAXIMUM_QUERIES} strings, not {_shown(queries)}.")
    return tuple(_query(f"queries[{position}]", each) for position, each in enumerate(queries))


def _query(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} has to be a string that says what the tool should do, not {_shown(value)}.")
    if len(value) > QUERY_CHARACTERS:
        raise InvalidInputError(f"{name} has {len(value)} characters, more than the {QUERY_CHARACTERS} it may have.")
    # PostgreSQL has no null character in texts, and JSON's lone surrogates are no characters.
    return value.replace("\x00", " ").encode("utf-8", "replace").decode()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
