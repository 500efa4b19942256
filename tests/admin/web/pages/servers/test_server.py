"""The list of servers and the page of one, without a browser."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.sync.health_check import HealthChecks
from gateway.upstream.credentials.personal import PersonalHeader
from gateway.upstream.status import ServerStatus
from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.listed import add_listed, tool
from tests.support.rows import rows
from tests.support.waiting import until

HERE = "/admin/t/default"


async def test_the_list_of_servers_counts_tools_in_quarantine(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    assert " quarantined" not in (await admin.http.get(f"{HERE}/servers")).text
    tools = (await admin.get("/tools")).json()["items"]
    for each in tools[:2]:
        assert (await admin.post(f"/tools/{each['id']}/quarantine")).status_code == 200
    assert (await admin.get("/servers")).json()[0]["quarantined"] == 2
    page = (await admin.http.get(f"{HERE}/servers")).text
    assert f"{HERE}/tools?server={server_id}&amp;state=quarantined" in page
    assert "2 quarantined" in page
    hidden = await admin.http.get(f"{HERE}/tools", params={"server": server_id, "state": "quarantined"})
    assert [tool["name"] for tool in tools if f">{tool['exposed_name']}<" in hidden.text] == [
        tool["name"] for tool in tools[:2]
    ]


async def test_the_page_of_a_server_tells_its_policy(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    for policy, words in (("quarantine", "is quarantined"), ("accept", "is accepted")):
        sent = await admin.http.post(f"{HERE}/servers/{server_id}/policy", data={"on_change": policy})
        assert sent.status_code == 303
        page = (await admin.http.get(f"{HERE}/servers/{server_id}")).text
        assert f'<option value="{policy}" selected>' in page
        assert f"<dd>{words}</dd>" in page


async def test_a_form_that_does_not_say_on_or_off_switches_nothing(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    tool_id = (await admin.get("/tools")).json()["items"][0]["id"]
    for path in (f"/servers/{server_id}", f"/tools/{tool_id}"):
        for form in ({}, {"enabled": ""}, {"enabled": "maybe"}, {"enable": "true"}):
            refused = await admin.http.post(f"{HERE}{path}/switch", data=form)
            assert refused.status_code == 422, (path, form)
            assert "enabled" in refused.text
    assert (await admin.get("/servers")).json()[0]["enabled"] is True
    assert (await admin.get(f"/tools/{tool_id}")).json()["disabled_at"] is None


async def test_a_form_without_a_kind_that_there_is_lets_nobody_in_otherwise(
    gateway: RunningGateway, admin: Person
) -> None:
    kind = PersonalHeader("X-User-Token", "X-User-Token")
    server_id = await gateway.parts.servers.add(1, ServerDefinition("Tracker", "http", url="https://tracker.example/"))
    await gateway.parts.servers.set_personal(1, server_id, kind)
    for form in ({}, {"kind": "magic"}, {"kind": " "}):
        refused = await admin.http.post(f"{HERE}/servers/{server_id}/personal", data=form)
        assert refused.status_code == 422, form
        assert "has to have a kind" in refused.text
        assert (await gateway.parts.servers.spec(1, server_id)).personal == kind
    assert (await admin.http.post(f"{HERE}/servers/{server_id}/personal", data={"kind": ""})).status_code == 303
    assert (await gateway.parts.servers.spec(1, server_id)).personal is None


async def test_limits_are_shown_and_changed_by_form(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    here = f"{HERE}/servers/{server_id}"
    assert (
        '<dt>Call timeout</dt><dd>60 s <span class="muted">(default)</span></dd>' in (await admin.http.get(here)).text
    )
    assert 'placeholder="60"' in (await admin.http.get(f"{here}/limits")).text
    form = {
        "call_timeout_seconds": "7.5",
        "max_calls_in_flight": "",
        "idle_stop_seconds": "600",
        "session": "per_client",
    }
    refused = await admin.http.post(f"{here}/limits", data={**form, "list_timeout_seconds": "soon"})
    assert refused.status_code == 422
    assert 'id="list_timeout_seconds-error"' in refused.text
    assert 'value="7.5"' in refused.text
    assert (await admin.http.post(f"{here}/limits", data=form)).status_code == 303
    page = (await admin.http.get(here)).text
    assert "<dt>Call timeout</dt><dd>7.5 s</dd>" in page
    assert "after 600 s" in page
    assert "one for each client" in page
    assert (await gateway.parts.servers.spec(1, server_id)).max_calls == 32
    assert 'value="7.5"' in (await admin.http.get(f"{here}/limits")).text


async def test_the_day_of_a_server_is_what_checks_have_found(
    gateway: RunningGateway, admin: Person, viewer: Person, tmp_path: Path
) -> None:
    parts = gateway.parts
    server_id = await add_local_mcp(parts, tmp_path, sync=False)
    here = f"{HERE}/servers/{server_id}"
    assert "No checks in the last 24 hours." in (await admin.http.get(here)).text
    checks = HealthChecks(parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices)
    good, bad = ServerStatus("connected"), ServerStatus("failing", last_error="It refuses.")
    for status in (good, good, bad, bad, good):
        await checks.record_health(1, server_id, status)
    found = (await admin.get(f"/servers/{server_id}/health")).json()["periods"]
    assert [(period["state"], period["error"]) for period in found] == [
        ("connected", None),
        ("failing", "It refuses."),
        ("connected", None),
    ]
    # What was checked long before says nothing of the time between.
    await rows(
        parts.database.url, "UPDATE server_health SET since = since - interval '1 h', until = until - interval '1 h'"
    )
    await checks.record_health(1, server_id, good)
    assert len((await admin.get(f"/servers/{server_id}/health")).json()["periods"]) == 4
    page = (await admin.http.get(here)).text
    assert "1 outage" in page
    assert "It refuses." in page
    assert "It refuses." not in (await viewer.http.get(here)).text
    await rows(
        parts.database.url, "UPDATE server_health SET since = since - interval '3 d', until = until - interval '3 d'"
    )
    await checks.record_health(1, server_id, bad)
    assert len(await rows(parts.database.url, "SELECT FROM server_health")) == 1
    assert (await admin.get("/servers/99/health")).status_code == 404


async def test_a_server_is_checked_and_its_log_read(gateway: RunningGateway, admin: Person) -> None:
    script = "import sys; print('<b>no luck</b>', file=sys.stderr, flush=True)"
    definition = ServerDefinition("Chatty", "stdio", command=sys.executable, args=("-c", script))
    server_id = await gateway.parts.servers.add(1, definition)
    here = f"{HERE}/servers/{server_id}"
    assert "Nothing was written to standard error." in (await admin.http.get(f"{here}/log")).text
    checked = await admin.http.post(f"{here}/check", headers={"HX-Request": "true"})
    assert checked.text.startswith('<div id="connection"')
    assert "unreachable" in checked.text
    assert (await admin.http.post(f"{here}/check")).headers["location"] == here

    async def is_logged() -> bool:
        return "&lt;b&gt;no luck&lt;/b&gt;" in (await admin.http.get(f"{here}/log")).text

    await until(is_logged)


async def test_a_version_is_gone_back_to_and_let_go_which_syncs(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    listed = await add_listed(gateway.parts, tmp_path, tool("old_tool", "Was there before."))
    listed.lists(tool("new_tool", "Came later."))
    await listed.sync()
    here = f"{HERE}/servers/{listed.id}"
    compared = (await admin.http.get(f"{here}/compare", params={"before": "1", "after": "2"})).text
    assert "old_tool" in compared
    assert "new_tool" in compared

    async def names() -> list[str]:
        return [each["name"] for each in (await admin.get("/tools")).json()["items"]]

    assert (await admin.http.post(f"{here}/versions/1/restore")).headers["location"] == here
    assert await names() == ["old_tool"]
    assert f'action="{here}/unpin"' in (await admin.http.get(here)).text
    assert (await admin.http.post(f"{here}/unpin")).headers["location"] == here

    async def is_synced() -> bool:
        return await names() == ["new_tool"]

    await until(is_synced)
    assert (await admin.http.post(f"{here}/versions/99/restore")).status_code == 404


async def test_what_waits_is_approved_at_once_and_the_server_switched_off_and_removed(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    listed = await add_listed(gateway.parts, tmp_path, tool("pay", "Pays a bill."))
    here = f"{HERE}/servers/{listed.id}"
    await admin.http.post(f"{here}/policy", data={"on_change": "quarantine"})
    listed.lists(tool("pay", "Pays a bill, and another."))
    await listed.sync()
    assert "Flagged or changed (1)" in (await admin.http.get(here)).text
    assert (await admin.http.post(f"{here}/approve")).headers["location"] == here
    assert "Flagged or changed" not in (await admin.http.get(here)).text
    for enabled in ("false", "true"):
        assert (await admin.http.post(f"{here}/switch", data={"enabled": enabled})).headers["location"] == here
        assert (await admin.get("/servers")).json()[0]["enabled"] is (enabled == "true")
    assert (await admin.http.post(f"{here}/remove")).headers["location"] == f"{HERE}/servers"
    assert (await admin.http.get(here)).status_code == 404
