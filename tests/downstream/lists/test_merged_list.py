"""prompts/list, resources/list and resources/templates/list in pages, and how much completion may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.review.offerings import Offerings
from gateway.downstream.lists.merged_list import MergedItem, MergedLists
from gateway.downstream.lists.upstream_lists import ServerItems, UpstreamLists
from gateway.settings import GuardSettings
from tests.downstream.conftest import HANDSHAKE, MODERN, Connect
from tests.downstream.listening import PROMPTS, NotifyingServer, add_notifying_server
from tests.support.gateway import RunningGateway
from tests.support.rows import caller_with
from tests.support.waiting import until

LISTS = pytest.mark.parametrize(
    ("method", "key", "field"),
    [
        ("prompts/list", "prompts", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ],
)
MANY = 2_300


@pytest.fixture
async def many(gateway: RunningGateway, tmp_path: Path) -> NotifyingServer:
    """A server that lists much of everything, and a smaller one with some of the same."""
    named = [{"name": f"p{number:04}"} for number in range(MANY)]
    found = [{"uri": f"note://{number}", "name": "n"} for number in range(MANY)]
    templates = [{"uriTemplate": f"note://{number}/{{x}}", "name": "n"} for number in range(MANY)]
    await add_notifying_server(
        gateway, tmp_path, "handshake", "Few", prompts=named[:3], resources=found[:3], resourceTemplates=templates[:3]
    )
    return await add_notifying_server(
        gateway, tmp_path, "modern", "Many", prompts=named, resources=found, resourceTemplates=templates
    )


async def walked(gateway: RunningGateway, method: str, key: str) -> list[list[Any]]:
    """All pages."""
    pages: list[list[Any]] = []
    params: dict[str, Any] = {}
    while True:
        result = (await gateway.request(method, params))["result"]
        pages.append(result[key])
        if "nextCursor" not in result:
            return pages
        params = {"cursor": result["nextCursor"]}


@LISTS
async def test_a_long_list_comes_in_pages_that_hold_everything_once(
    gateway: RunningGateway, many: NotifyingServer, method: str, key: str, field: str
) -> None:
    pages = await walked(gateway, method, key)
    assert [len(page) for page in pages] == [1_000, 1_000, 303]
    names = [item[field] for page in pages for item in page]
    assert len(set(names)) == MANY + 3
    assert await walked(gateway, method, key) == pages
    if key == "prompts":
        assert names == sorted(names)


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_the_sdk_walks_all_pages(
    gateway: RunningGateway, many: NotifyingServer, connect: Connect, mode: str
) -> None:
    async with connect(mode) as client:
        page = await client.list_resources()
        count = len(page.resources)
        while page.next_cursor is not None:
            page = await client.list_resources(cursor=page.next_cursor)
            count += len(page.resources)
        assert count == MANY + 3


@LISTS
@pytest.mark.parametrize("cursor", ["", "nonsense", "\ud800", "bm9fdG9vbA==", 5, {}, "x" * 10_000])
async def test_a_cursor_of_no_list_is_refused_with_what_to_do(
    gateway: RunningGateway, method: str, key: str, field: str, cursor: object
) -> None:
    error = (await gateway.request(method, {"cursor": cursor}))["error"]
    assert error["code"] == -32602
    assert "without it" in error["message"]


async def test_a_cursor_leads_on_after_the_list_has_changed(gateway: RunningGateway, many: NotifyingServer) -> None:
    first = (await gateway.request("prompts/list"))["result"]
    more = [{"name": f"p{number:04}"} for number in range(MANY)] + [{"name": "p0000a"}, {"name": "p1500a"}]
    many.set_lists(prompts=more)
    await many.notify(PROMPTS)

    async def known() -> bool:
        page = (await gateway.request("prompts/list"))["result"]["prompts"]
        return "many__p0000a" in [prompt["name"] for prompt in page]

    await until(known)
    second = (await gateway.request("prompts/list", {"cursor": first["nextCursor"]}))["result"]
    names = [prompt["name"] for prompt in second["prompts"]]
    assert names[0] > first["prompts"][-1]["name"]
    assert "many__p1500a" in names
    many.set_lists(prompts=[])
    await many.notify(PROMPTS)

    async def refused() -> bool:
        return "error" in await gateway.request("prompts/list", {"cursor": first["nextCursor"]})

    await until(refused)


async def test_a_list_is_made_once_for_all_who_are_shown_the_same(
    gateway: RunningGateway, many: NotifyingServer
) -> None:
    parts = gateway.parts
    upstream_lists = UpstreamLists(
        parts.database,
        parts.notices,
        parts.servers,
        parts.pool,
        parts.caller_requests,
        Offerings(parts.database, GuardSettings()),
    )

    def merge(sources: Sequence[ServerItems]) -> list[MergedItem]:
        return [MergedItem(item["name"], server.id, item["name"], item) for server, items in sources for item in items]

    lists = MergedLists(upstream_lists, "prompts", merge)
    caller = await caller_with(parts)
    first = await lists.get(caller)
    assert await lists.get(replace(caller, key_id=caller.key_id + 1)) is first
    many.set_lists(prompts=[{"name": "another"}])
    upstream_lists.on_list_changed(await parts.servers.spec(caller.tenant_id, many.id), ["prompts"])
    assert set((await lists.get(caller)).origins) == {"p0000", "p0001", "p0002", "another"}
    await upstream_lists.aclose()


@pytest.mark.parametrize(("given", "more"), [(100, None), (101, True), (250, True)])
async def test_at_most_a_hundred_completions_are_passed_on(
    gateway: RunningGateway, tmp_path: Path, given: int, more: bool | None
) -> None:
    server = await add_notifying_server(gateway, tmp_path, "handshake", prompts=[{"name": "a"}])
    server.set_lists(completions=given)
    params = {"ref": {"type": "ref/prompt", "name": "notifier__a"}, "argument": {"name": "x", "value": ""}}
    completion = (await gateway.request("completion/complete", params))["result"]["completion"]
    assert completion["values"] == [f"value {number}" for number in range(100)]
    assert completion.get("hasMore") is more
    assert completion.get("total") == (given if more else None)


async def test_an_address_that_is_no_url_is_not_found(gateway: RunningGateway, tmp_path: Path) -> None:
    odd = [{"uri": "http://[", "name": "odd"}, {"uri": "note://\ud800", "name": "b"}, {"uri": "note://a", "name": "a"}]
    await add_notifying_server(gateway, tmp_path, "handshake", "First", resources=odd)
    await add_notifying_server(gateway, tmp_path, "modern", resources=odd)
    listed = [resource["uri"] for resource in (await gateway.request("resources/list"))["result"]["resources"]]
    assert [uri.split(":")[0] for uri in listed] == ["http", "note", "modelgate", "modelgate"]
    for uri in ("http://[x", "ui://\x00", "ui://\ud800", "modelgate://notifier/%00"):
        assert (await gateway.request("resources/read", {"uri": uri}))["error"]["code"] in (-32602, -32601)
