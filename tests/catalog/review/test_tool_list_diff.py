"""How two lists of tools differ."""

from __future__ import annotations

from gateway.catalog.review.tool_list_diff import diff_tool_lists
from gateway.catalog.tool import ToolDefinition, parse_tool
from tests.support.listed import tool


def listed(*descriptions: tuple[str, str]) -> list[ToolDefinition]:
    """A tool of each name, with its description."""
    return [parse_tool(tool(name, description, what="The thing")) for name, description in descriptions]


def test_tools_are_added_removed_and_changed_by_name() -> None:
    diff = diff_tool_lists(
        listed(("stays", "Stays"), ("goes", "Goes"), ("changes", "One")),
        listed(("changes", "Two"), ("comes", "Comes"), ("stays", "Stays")),
    )
    assert (diff.added_names, diff.removed_names, diff.changed_names) == (("comes",), ("goes",), ("changes",))
    assert [definition.name for definition in diff.new_definitions] == ["comes", "changes"]
    assert [field.path for field in diff.changed[0].fields] == ["/description"]
    assert diff.breaking
    assert not diff.changed[0].breaking


def test_a_renamed_tool_is_told_once_and_breaks() -> None:
    diff = diff_tool_lists(listed(("one", "Same"), ("two", "Same")), listed(("three", "Same"), ("two", "Same")))
    assert diff.renamed == (("one", "three"),)
    assert (diff.added_names, diff.removed_names) == (("three",), ("one",))
    assert diff.breaking


def test_the_order_of_tools_and_keys_is_no_difference() -> None:
    other_way_round = dict(reversed(tool("one", "First").items()))
    before = [parse_tool(tool("one", "First")), parse_tool(tool("two"))]
    assert not diff_tool_lists(before, [parse_tool(tool("two")), parse_tool(other_way_round)])
