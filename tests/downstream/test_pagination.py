"""Lists in pages, as pure logic."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from gateway.downstream.pagination import PAGE_BYTES, PagedList


def paged(*names: str, page_size: int = 2) -> PagedList:
    return PagedList("tools", "name", [{"name": name} for name in names], page_size)


def names_on(page: Any) -> list[str]:
    return [item["name"] for item in page.value["tools"]]


def walk(pages: PagedList) -> list[list[str]]:
    walked, cursor = [], None
    while True:
        page = pages.page(cursor)
        walked.append(names_on(page))
        cursor = page.value.get("nextCursor")
        if cursor is None:
            return walked


def test_every_item_is_on_one_page() -> None:
    assert walk(paged("a", "b", "c", "d", "e")) == [["a", "b"], ["c", "d"], ["e"]]
    assert walk(paged("a", "b")) == [["a", "b"]]


def test_an_empty_list_has_one_empty_page() -> None:
    assert walk(paged()) == [[]]


def test_a_cursor_leads_on_in_a_list_that_has_changed() -> None:
    cursor = paged("a", "b", "c").page(None).value["nextCursor"]
    assert names_on(paged("0", "a", "b", "c", "d").page(cursor)) == ["c", "d"]


def test_a_cursor_after_an_item_that_is_gone_is_refused() -> None:
    cursor = paged("a", "b", "c").page(None).value["nextCursor"]
    with pytest.raises(MCPError, match="without it"):
        paged("a", "c").page(cursor)


def test_lists_that_read_the_same_have_the_same_digest() -> None:
    assert paged("a", "b", "c").digest == paged("a", "b", "c").digest
    assert paged("a", "b", "c").digest != paged("a", "b").digest


@pytest.mark.parametrize("name", ["☃", "\ud800", 'a"b', ""])
def test_any_name_can_be_a_cursor(name: str) -> None:
    assert walk(paged(name, "z", page_size=1)) == [[name], ["z"]]


def test_a_page_ends_before_it_is_too_large() -> None:
    items = [{"name": str(number), "description": "ü" * 50_000} for number in range(30)]
    pages = PagedList("tools", "name", items)
    walked = walk(pages)
    assert [name for page in walked for name in page] == [item["name"] for item in items]
    assert [len(page) for page in walked] == [5] * 6
    assert len(pages.page(None).to_json()) <= PAGE_BYTES + 200


def test_an_item_that_is_too_large_has_a_page_of_its_own() -> None:
    sizes = {"a": 10, "b": 900_000, "c": 10, "d": 600_000, "e": 600_000}
    items = [{"name": name, "description": "x" * size} for name, size in sizes.items()]
    assert walk(PagedList("tools", "name", items)) == [["a"], ["b"], ["c"], ["d"], ["e"]]


def test_a_cursor_from_before_a_change_leads_to_a_page_that_is_no_larger() -> None:
    def items(*names: str) -> list[dict[str, Any]]:
        return [{"name": name, "description": "x" * 200_000} for name in names]

    cursor = PagedList("tools", "name", items("a", "b", "c")).page(None).value["nextCursor"]
    later = PagedList("tools", "name", items("0", "1", "a", "b", "c", "d", "e"))
    assert names_on(later.page(cursor)) == ["c", "d"]
