"""What pages are made of, without a browser."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gateway.admin.web.chart import Column, bar_chart
from gateway.admin.web.formatting import display_text, format_milliseconds, format_number, relative_time
from gateway.admin.web.schema_form import parse_arguments, schema_fields
from gateway.admin.web.tool_result import result_parts
from gateway.errors import InvalidInputError

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SCHEMA = {
    "type": "object",
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "description": "Where"},
        "depth": {"type": ["integer", "null"], "default": 3},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "deep": {"type": "boolean"},
        "mode": {"enum": ["fast", "slow", 1]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "odd": True,
    },
}


def test_text_that_would_not_be_seen_is_shown_by_its_number() -> None:
    assert display_text("a\u202eb\u200bc\nd") == "a⟨U+202E⟩b⟨U+200B⟩c\nd"
    assert display_text("x" * 30, 10) == "x" * 10 + "… (30 characters)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "just now"), (30, "30 s ago"), (90, "1 min ago"), (7200, "2 h ago"), (-172_800, "in 2 d")],
)
def test_moments_are_told_from_now(seconds: int, words: str) -> None:
    assert f">{words}</time>" in relative_time(NOW - timedelta(seconds=seconds), NOW)


def test_numbers_have_the_digits_that_count() -> None:
    assert format_number(1_234_567) == "1\u202f234\u202f567"
    assert [format_milliseconds(each) for each in (None, 0.1234, 5.25, 42.4, 2_345)] == [
        "–",
        "0.12 ms",
        "5.2 ms",
        "42 ms",
        "2.3 s",
    ]


def test_a_form_is_made_of_a_schema_and_arguments_of_the_form() -> None:
    parameters = schema_fields(SCHEMA)
    assert [each.kind for each in parameters] == ["text", "integer", "number", "boolean", "choice", "json", "json"]
    sent = {"path": "", "depth": "4", "ratio": "0.5", "deep": "true", "mode": '"slow"', "tags": '["a"]', "odd": ""}
    typed = {parameter.input_name: sent[parameter.name] for parameter in parameters}
    expected = {"path": "", "depth": 4, "ratio": 0.5, "deep": True, "mode": "slow", "tags": ["a"]}
    assert parse_arguments(parameters, typed) == expected
    with pytest.raises(InvalidInputError) as caught:
        parse_arguments(parameters, {**typed, "argument-1": "four", "argument-5": "[", "argument-3": "yes"})
    assert [problem.field for problem in caught.value.problems] == ["argument-1", "argument-3", "argument-5"]


@pytest.mark.parametrize("schema", [None, [], {"properties": []}, {"properties": {"a": None}, "required": 5}])
def test_a_schema_of_any_shape_is_taken(schema: object) -> None:
    assert parse_arguments(schema_fields(schema), {}) == {}


def test_every_kind_of_result_has_its_own_look() -> None:
    result = {
        "content": [
            {"type": "text", "text": '{"a": 1}'},
            {"type": "text", "text": "[not json"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "image", "data": "aGk=", "mimeType": "text/html"},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "javascript:alert(1)", "name": "bad"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
            "odd",
        ],
        "structuredContent": [1],
    }
    kinds = [part.kind for part in result_parts(result)]
    assert kinds == ["json", "text", "picture", "other", "sound", "link", "text", "other", "json"]
    assert [part.kind for part in result_parts("odd")] == ["json"]


def test_bars_fill_the_chart_and_no_more() -> None:
    columns = [Column(NOW + timedelta(hours=n), (("search", n), ("call", 1.0)), str(n)) for n in range(24)]
    chart = bar_chart(columns)
    assert chart.maximum == "50"
    assert min(bar.y for bar in chart.bars) >= 8
    assert max(bar.y + bar.height for bar in chart.bars) <= chart.bottom + 1e-6
    assert bar_chart([]).is_empty
