"""Arguments of the gateway's own tools, as pure logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.methods.tools.tool_arguments import parse_call_arguments, parse_search_arguments
from gateway.errors import InvalidInputError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["query", "queries", "category", "server", "max_results", "detail", "name", "arguments"])


def test_what_is_left_out_has_its_default() -> None:
    request, detail = parse_search_arguments({"query": "x"}, 5)
    assert (request.queries, request.max_results, request.category, request.server) == (("x",), 5, None, None)
    assert (detail, request.is_multi_query) == (None, False)


def test_null_is_the_same_as_left_out() -> None:
    nulls: dict[str, Any] = dict.fromkeys(("queries", "category", "server", "max_results", "detail"))
    assert parse_search_arguments({"query": "x", **nulls}, 5) == parse_search_arguments({"query": "x"}, 5)


@pytest.mark.parametrize("blank", ["", " "])
def test_an_empty_text_is_the_same_as_left_out(blank: str) -> None:
    blanks = dict.fromkeys(("category", "server", "max_results", "detail"), blank)
    expected = parse_search_arguments({"query": "x"}, 5)
    assert parse_search_arguments({"query": "x", **blanks}, 5) == expected
    assert parse_search_arguments({"query": "x", "queries": blank}, 5) == expected
    assert parse_search_arguments({"query": "x", "queries": []}, 5) == expected
    several = parse_search_arguments({"queries": ["x", "y"]}, 5)
    assert parse_search_arguments({"query": blank, "queries": ["x", "y"]}, 5) == several
    with pytest.raises(InvalidInputError, match="query has to be a string that says what the tool should do"):
        parse_search_arguments({"query": blank}, 5)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert parse_search_arguments({"query": "x", "max_results": 7.0}, 5)[0].max_results == 7


@pytest.mark.parametrize("value", ["7", " 7 ", "07", "7.0", " 7.00 "])
def test_a_number_may_be_given_as_text(value: str) -> None:
    assert parse_search_arguments({"query": "x", "max_results": value}, 5)[0].max_results == 7


@pytest.mark.parametrize("value", ["0", "51", "50.5", "-3", "3.5", "51.0", "three", "٣", "9" * 1000, True, 3.5, [3]])
def test_what_is_no_whole_number_from_1_to_50_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_results has to be a whole number from 1 to 50"):
        parse_search_arguments({"query": "x", "max_results": value}, 5)


@pytest.mark.parametrize("detail", ["auto", "full", "brief"])
def test_a_search_may_ask_for_a_detail(detail: str) -> None:
    assert parse_search_arguments({"query": "x", "detail": detail}, 5)[1] == detail
    with pytest.raises(InvalidInputError, match="detail has to be auto, full or brief, not 'whole'"):
        parse_search_arguments({"query": "x", "detail": "whole"}, 5)


def test_the_bounds_are_within() -> None:
    assert parse_search_arguments({"query": "x" * 4000, "max_results": 1}, 5)[0].max_results == 1
    assert parse_search_arguments({"queries": ["x"] * 8, "max_results": 50}, 5)[0].max_results == 50


def test_one_query_in_a_list_is_still_told_which_found_what() -> None:
    assert parse_search_arguments({"queries": ["x"]}, 5)[0].is_multi_query


def test_a_call_without_arguments_passes_none() -> None:
    assert parse_call_arguments({"name": "a"}) == ("a", {})
    assert parse_call_arguments({"name": "a", "arguments": None}) == ("a", {})


def refusal_of(read: Callable[..., object], *arguments: Any) -> str | None:
    try:
        read(*arguments)
    except InvalidInputError as error:
        return error.message
    return None


@given(st.dictionaries(NAMES | st.text(), JSON, max_size=4))
def test_whatever_is_sent_is_read_or_refused_in_a_sentence(arguments: dict[str, Any]) -> None:
    for refusal in (refusal_of(parse_search_arguments, arguments, 5), refusal_of(parse_call_arguments, arguments)):
        assert refusal is None or (refusal.endswith(".") and len(refusal) < 400)


@pytest.mark.parametrize("value", ["x" * 100_000, ["x"] * 10_000])
def test_a_refusal_does_not_repeat_a_long_value(value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_search_arguments({"query": "x", "category": value}, 5)
    assert len(caught.value.message) < 300
