"""The Embedding page and its endpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.settings import SearchSettings, Settings
from tests.admin.conftest import Person
from tests.support.catalogue import add_tools
from tests.support.gateway import RunningGateway

_TOO_MANY = 300


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, search=SearchSettings(index_mib=1))


async def test_a_tenant_whose_tools_do_not_fit_into_memory_is_told_on_the_page(
    gateway: RunningGateway, viewer: Person, caplog: pytest.LogCaptureFixture
) -> None:
    await add_tools(gateway.parts.database, 1, [("farm", "feed_cat", "other")])
    assert (await gateway.call("tool_search", {"query": "feed the cat"}))["isError"] is False
    view = (await viewer.get("/embedding")).json()
    assert (view["too_large_for_memory"], view["index_mib"]) == (False, 1)

    await add_tools(gateway.parts.database, 1, [("zoo", f"count_{number}", "other") for number in range(_TOO_MANY)])
    for _ in range(2):
        answer = await gateway.call("tool_search", {"query": "feed the cat"})
        assert "farm__feed_cat" in answer["content"][0]["text"]
    assert (await viewer.get("/embedding")).json()["too_large_for_memory"]
    page = (await viewer.http.get("/admin/t/default/embedding")).text
    assert "do not fit into memory, so searches ask PostgreSQL" in page
    said = [record.message for record in caplog.records if "search.index_mib" in record.message]
    assert len(said) == 1
    assert f"The {_TOO_MANY + 1} tools of tenant 1" in said[0]


async def test_the_hit_rate_of_queries_is_shown_and_their_cache_cleared(
    gateway: RunningGateway, admin: Person, viewer: Person
) -> None:
    spaces = gateway.parts.spaces
    for _ in range(4):
        await spaces.embed_queries(["feed the cat"])
    assert (await viewer.get("/embedding")).json()["query_cache"] == {"stored": 0, "looked_up": 4, "hit_rate": 0.75}
    page = (await viewer.http.get("/admin/t/default/embedding")).text
    assert "75% <small>of 4</small>" in page
    assert 'modelgate_query_cache_lookups_total{source="memory"} 3.0' in (await gateway.http.get("/metrics")).text
    assert (await viewer.delete("/embedding/cache")).status_code == 403
    assert (await admin.delete("/embedding/cache")).status_code == 204
    await spaces.embed_queries(["feed the cat"])
    assert spaces.query_cache.lookups["embedded"] == 2


async def test_without_another_space_there_is_nothing_to_compare_with(gateway: RunningGateway, admin: Person) -> None:
    nothing = await admin.post("/embedding/compare", {"query": "add numbers"})
    assert (nothing.status_code, nothing.json()["detail"]) == (404, "There is no other space.")
