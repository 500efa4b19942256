"""Input from outside as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA, parse_form, parse_json, parse_query
from gateway.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Thing:
    name: Annotated[str, Field(min_length=1, max_length=5)]
    count: Annotated[int, Field(ge=0)] = 0
    on: bool = False
    tags: tuple[str, ...] = ()

    __pydantic_config__ = FORBID_EXTRA


def test_a_body_is_judged_strictly_and_a_form_leniently() -> None:
    assert parse_json(Thing, b'{"name": "a", "count": 2}') == Thing("a", 2)
    with pytest.raises(InvalidInputError, match=r"count has to be a whole number\."):
        parse_json(Thing, b'{"name": "a", "count": "2"}')
    assert parse_form(Thing, {"name": "a", "count": "2", "on": "on"}) == Thing("a", 2, True)


def test_a_query_string_has_numbers_switches_and_lists() -> None:
    values = {"name": ["a"], "count": ["2"], "on": ["true"], "tags": ["x", "y"]}
    assert parse_query(Thing, values) == Thing("a", 2, True, ("x", "y"))
    for wrong in ({"count": ["2.0"]}, {"on": ["yes"]}, {"count": ["1", "2"]}, {"nonsense": ["1"]}):
        with pytest.raises(InvalidInputError) as raised:
            parse_query(Thing, {"name": ["a"], **wrong})
        assert raised.value.problems[0].field in wrong


def test_every_bad_field_is_told() -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_json(Thing, b'{"name": "too long", "count": -1}')
    assert [problem.field for problem in raised.value.problems] == ["name", "count"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{}", "name is missing."),
        (b'{"name": ""}', "name is empty."),
        (b'{"name": "a", "x": 1}', "x is not known here; there are name, count, on, tags."),
        (b'{"name": "\\u0000"}', "name holds a null character; leave it out."),
        (b'{"name": "\\ud800"}', "The body is not valid JSON."),
        (b"\xff", "The body is not valid JSON."),
        (b"[" * 100_000, "The body is not valid JSON."),
        (b"3", "The body has to be an object."),
        (b'{"name": "too long"}', "name may have at most 5 characters."),
        (b'{"name": "a", "count": -1}', "count has to be 0 or more."),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_json(Thing, body)
    assert raised.value.message == sentence
