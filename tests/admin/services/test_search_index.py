"""The index in a cluster, through the REST API and on the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.settings import OpenSearchSettings, Settings
from tests.admin.conftest import SignInAs
from tests.support.catalogue import add_tools
from tests.support.gateway import RunningGateway


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    if "elsewhere" in request.node.name:
        return settings
    opensearch: OpenSearchSettings = request.getfixturevalue("opensearch")
    return replace(settings, search=replace(settings.search, index="opensearch"), opensearch=opensearch)


async def test_the_index_is_shown_built_anew_and_dropped(gateway: RunningGateway, sign_in_as: SignInAs) -> None:
    ada = await sign_in_as("ada")
    await gateway.parts.spaces.active_space()
    await add_tools(gateway.parts.database, 1, [("git", "commit", "git")])
    cluster = gateway.parts.search_cluster
    assert cluster is not None
    await cluster.feed.catch_up()
    shown = (await ada.get("/index")).json()
    assert shown["engine"] == "opensearch"
    name = shown["cluster"]["indexes"][0]["name"]
    assert "correct horse" not in str(shown)
    page = await ada.http.get("/admin/t/default/embedding")
    assert "Index in OpenSearch" in page.text
    assert name in page.text
    assert (await ada.post("/index/rebuild", {})).status_code == 202
    assert (await ada.post("/index/rebuild", {"space": 99})).status_code == 404
    assert (await ada.delete("/index", name="somebody-elses")).status_code == 404
    assert (await ada.delete("/index")).status_code == 204


async def test_who_runs_one_tenant_or_only_looks_changes_nothing(gateway: RunningGateway, sign_in_as: SignInAs) -> None:
    viewer, limited = await sign_in_as("vic", "viewer"), await sign_in_as("tim", "admin", ["default"])
    assert (await viewer.get("/index")).status_code == 200
    assert (await limited.get("/index")).status_code == 403
    assert "Index in OpenSearch" not in (await limited.http.get("/admin/t/default/embedding")).text
    for person in (viewer, limited):
        assert (await person.post("/index/rebuild", {})).status_code == 403
        assert (await person.delete("/index")).status_code == 403


async def test_where_searches_run_elsewhere_there_is_none(gateway: RunningGateway, sign_in_as: SignInAs) -> None:
    ada = await sign_in_as("ada")
    assert (await ada.get("/index")).json() == {"engine": "memory", "cluster": None}
    refused = await ada.post("/index/rebuild", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
