"""The arguments of the gateway's own tools, checked one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

from gateway.catalog.category import CATEGORIES
from gateway.downstream.lists.gateway_tools import MAXIMUM_QUERIES, MAXIMUM_QUERY_CHARACTERS, MAXIMUM_RESULTS
from gateway.downstream.methods.tools.search_answer import Detail
from gateway.errors import InvalidInputError
from gateway.search.request import SearchRequest

_SEARCH_ARGUMENTS = {"query", "queries", "category", "server", "max_results", "detail"}
_SHOWN_CHARACTERS = 60


def parse_search_arguments(arguments: Mapping[str, Any], default_results: int) -> tuple[SearchRequest, Detail | None]:
    """The search that `arguments` ask for, and the detail of its answer, None where they do not say.

    Raises InvalidInputError that names the argument and what it may be.
    """
    for name in arguments:
        if name not in _SEARCH_ARGUMENTS:
            raise InvalidInputError(
                f"{_format(name)} is no argument; there are {', '.join(sorted(_SEARCH_ARGUMENTS))}."
            )
    arguments = _without_blanks(arguments)
    category = arguments.get("category")
    if category is not None and category not in CATEGORIES:
        raise InvalidInputError(f"category has to be one of {', '.join(CATEGORIES)}, not {_format(category)}.")
    server = arguments.get("server")
    if server is not None and (not isinstance(server, str) or "\x00" in server):
        raise InvalidInputError(f"server has to be the name of a server, not {_format(server)}.")
    if server is not None:
        server = server.encode("utf-8", "replace").decode()
    results = arguments.get("max_results")
    if results is None:
        results = default_results
    # Models write numbers as text, too.
    if isinstance(results, str) and re.fullmatch(r"\s*[0-9]{1,4}(?:\.0{1,4})?\s*", results):
        results = int(results.partition(".")[0])
    # JSON has one kind of number: 5.0 is the whole number 5.
    if isinstance(results, float) and results.is_integer():
        results = int(results)
    if type(results) is not int or not 1 <= results <= MAXIMUM_RESULTS:
        raise InvalidInputError(
            f"max_results has to be a whole number from 1 to {MAXIMUM_RESULTS}, not {_format(results)}."
        )
    detail = arguments.get("detail")
    if detail is not None and detail not in get_args(Detail):
        raise InvalidInputError(f"detail has to be auto, full or brief, not {_format(detail)}.")
    is_list = arguments.get("queries") is not None
    return SearchRequest(_parse_queries(arguments), results, category, server, is_list), cast("Detail | None", detail)


def parse_call_arguments(arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and arguments of the tool to be called. Raises InvalidInputError."""
    for key in arguments:
        if key not in ("name", "arguments"):
            raise InvalidInputError(f"{_format(key)} is no argument of tool_call; there are name and arguments.")
    name = arguments.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"name has to be the name of a tool as tool_search gives it, not {_format(name)}.")
    passed = arguments.get("arguments")
    if passed is None:
        passed = {}
    if not isinstance(passed, Mapping):
        raise InvalidInputError(f"arguments has to be an object, not {_format(passed)}.")
    return name, passed


def _without_blanks(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is given: models fill in what they leave out with empty texts and lists. The last query stays as it is."""
    given = {
        name: value
        for name, value in arguments.items()
        if name in ("query", "queries") or not (isinstance(value, str) and not value.strip())
    }
    if given.get("queries") and _is_blank(given.get("query")):
        del given["query"]
    elif given.get("query") and _is_blank(given.get("queries")):
        del given["queries"]
    return given


def _is_blank(value: object) -> bool:
    return value == [] or (isinstance(value, str) and not value.strip())


def _parse_queries(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    query, queries = arguments.get("query"), arguments.get("queries")
    if queries is None:
        if query is None:
            raise InvalidInputError("query is missing; say what the tool should do.")
        return (_parse_query("query", query),)
    if query is not None:
        raise InvalidInputError("query and queries cannot be given together; give one of them.")
    if not isinstance(queries, list) or not 1 <= len(queries) <= MAXIMUM_QUERIES:
        raise InvalidInputError(f"queries has to be a list of 1 to {MAXIMUM_QUERIES} strings, not {_format(queries)}.")
    return tuple(_parse_query(f"queries[{position}]", each) for position, each in enumerate(queries))


def _parse_query(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} has to be a string that says what the tool should do, not {_format(value)}.")
    if len(value) > MAXIMUM_QUERY_CHARACTERS:
        raise InvalidInputError(
            f"{name} has {len(value)} characters, more than the {MAXIMUM_QUERY_CHARACTERS} it may have."
        )
    # PostgreSQL has no null character in texts, and JSON's lone surrogates are no characters.
    return value.replace("\x00", " ").encode("utf-8", "replace").decode()


def _format(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
