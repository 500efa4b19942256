"""How two definitions of a tool differ, and which differences break callers."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway.catalog.review.definition_diff import diff_definitions

BASE: dict[str, Any] = {
    "name": "send",
    "description": "Send a message.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "Whom to"},
            "count": {"type": "integer", "minimum": 1, "maximum": 10},
            "mode": {"type": "string", "enum": ["fast", "slow"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["to"],
    },
    "outputSchema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    "annotations": {"readOnlyHint": True},
}


def edited(*path: str, to: Any = None, drop: bool = False) -> dict[str, Any]:
    """BASE with one place changed."""
    copied = copy.deepcopy(BASE)
    place = copied
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return copied


PROPERTIES = ("inputSchema", "properties")


@pytest.mark.parametrize(
    ("after", "path", "kind", "breaking"),
    [
        (edited("description", to="Sends."), "/description", "changed", False),
        (edited("annotations", "readOnlyHint", to=False), "/annotations/readOnlyHint", "changed", False),
        (edited(*PROPERTIES, "to", "description", to="x"), "/inputSchema/properties/to/description", "changed", False),
        (edited(*PROPERTIES, "tags", drop=True), "/inputSchema/properties/tags", "removed", True),
        (edited(*PROPERTIES, "more", to={"type": "string"}), "/inputSchema/properties/more", "added", False),
        (edited("inputSchema", "required", to=["to", "mode"]), "/inputSchema/required/mode", "added", True),
        (edited("inputSchema", "required", to=[]), "/inputSchema/required/to", "removed", False),
        (edited(*PROPERTIES, "count", "type", to="string"), "/inputSchema/properties/count/type", "changed", True),
        (edited(*PROPERTIES, "count", "type", to="number"), "/inputSchema/properties/count/type", "changed", False),
        (
            edited(*PROPERTIES, "to", "type", to=["string", "null"]),
            "/inputSchema/properties/to/type",
            "changed",
            False,
        ),
        (edited(*PROPERTIES, "mode", "enum", to=["fast"]), "/inputSchema/properties/mode/enum", "changed", True),
        (
            edited(*PROPERTIES, "mode", "enum", to=["fast", "slow", "odd"]),
            "/inputSchema/properties/mode/enum",
            "changed",
            False,
        ),
        (edited(*PROPERTIES, "count", "maximum", to=5), "/inputSchema/properties/count/maximum", "changed", True),
        (edited(*PROPERTIES, "count", "maximum", to=50), "/inputSchema/properties/count/maximum", "changed", False),
        (edited(*PROPERTIES, "count", "minimum", drop=True), "/inputSchema/properties/count/minimum", "removed", False),
        (edited(*PROPERTIES, "to", "pattern", to="^a"), "/inputSchema/properties/to/pattern", "added", True),
        (
            edited(*PROPERTIES, "tags", "items", "type", to="number"),
            "/inputSchema/properties/tags/items/type",
            "changed",
            True,
        ),
        (
            edited("inputSchema", "additionalProperties", to=False),
            "/inputSchema/additionalProperties",
            "added",
            True,
        ),
        (edited("outputSchema", "required", to=[]), "/outputSchema/required/id", "removed", True),
        (edited("outputSchema", drop=True), "/outputSchema", "removed", True),
        (
            edited("outputSchema", "properties", "id", "type", to="integer"),
            "/outputSchema/properties/id/type",
            "changed",
            True,
        ),
    ],
)
def test_a_changed_field_is_named_and_judged(after: dict[str, Any], path: str, kind: str, breaking: bool) -> None:
    (change,) = diff_definitions(BASE, after)
    assert (change.path, change.kind, change.breaking) == (path, kind, breaking)
    assert change.describe()


def test_a_renamed_parameter_is_one_change_and_breaks() -> None:
    after = copy.deepcopy(BASE)
    after["inputSchema"]["properties"]["recipient"] = after["inputSchema"]["properties"].pop("to")
    changes = diff_definitions(BASE, after)
    renamed = next(change for change in changes if change.kind == "renamed")
    assert (renamed.before, renamed.after, renamed.breaking) == ("to", "recipient", True)


def test_a_definition_does_not_differ_from_itself() -> None:
    assert diff_definitions(BASE, copy.deepcopy(BASE)) == ()


def test_values_that_python_holds_for_equal_and_json_does_not_differ() -> None:
    before = edited(*PROPERTIES, "count", "default", to={"deep": [True]})
    (change,) = diff_definitions(before, edited(*PROPERTIES, "count", "default", to={"deep": [1]}))
    assert (change.path, change.breaking) == ("/inputSchema/properties/count/default", False)


def test_names_are_escaped_in_paths() -> None:
    (change,) = diff_definitions(BASE, edited(*PROPERTIES, "a/b~c", to={"type": "string"}))
    assert change.path == "/inputSchema/properties/a~1b~0c"
