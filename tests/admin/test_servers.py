"""Servers through the REST API, with real MCP servers behind."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.app import open_components
from gateway.settings import Settings
from tests.admin.conftest import PASSWORD, Person, SignInAs
from tests.support.gateway import LOCAL_MCP, RunningGateway, add_local_mcp, running_gateway


def _local(root: Path, **more: Any) -> dict[str, Any]:
    args = [str(LOCAL_MCP), "--root", str(root)]
    return {"name": "Local MCP", "transport": "stdio", "command": sys.executable, "args": args, **more}


async def test_a_server_is_added_shown_changed_and_removed(admin: Person, tmp_path: Path) -> None:
    made = await admin.post("/servers", _local(tmp_path, env={"TOKEN": "s3cret"}, description="files"))
    assert made.status_code == 201, made.text
    assert "s3cret" not in made.text
    server_id = made.json()["card"]["id"]
    assert made.json()["env_names"] == ["TOKEN"]

    changed = await admin.patch(f"/servers/{server_id}", {"name": "Renamed", "env": {"TOKEN": None, "MORE": "x"}})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["card"]["name"], changed.json()["env_names"]) == ("Renamed", ["MORE", "TOKEN"])
    assert changed.json()["card"]["slug"] == "local_mcp"
    assert [card["name"] for card in (await admin.get("/servers")).json()] == ["Renamed"]

    assert (await admin.delete(f"/servers/{server_id}")).status_code == 204
    assert (await admin.get(f"/servers/{server_id}")).status_code == 404


async def test_a_kept_secret_is_the_stored_one(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    made = (await admin.post("/servers", _local(tmp_path, env={"TOKEN": "s3cret"}))).json()
    server_id = made["card"]["id"]
    await admin.patch(f"/servers/{server_id}", {"env": {"TOKEN": None}})
    assert (await gateway.parts.servers.spec(1, server_id)).env == {"TOKEN": "s3cret"}


async def test_a_viewer_sees_no_arguments(admin: Person, viewer: Person, tmp_path: Path) -> None:
    made = (await admin.post("/servers", _local(tmp_path))).json()
    shown = (await viewer.get(f"/servers/{made['card']['id']}")).json()
    assert set(shown["args"]) == {"********"}
    assert (await viewer.get(f"/servers/{made['card']['id']}/log")).status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "URL of the environment/a document"}, "name"),
        ({"command": None}, "command"),
        ({"url": "http://x"}, "url"),
        ({"transport": "pigeon"}, "transport"),
        ({"args": "not a list"}, "args"),
        ({"env": {"A": 1}}, "env.A"),
        ({"nonsense": 1}, "nonsense"),
        ({"prefix": "no spaces"}, "prefix"),
        ({"name": "null\x00"}, "name"),
    ],
)
async def test_bad_input_is_told_at_its_field(
    admin: Person, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    response = await admin.post("/servers", {**_local(tmp_path), **change})
    assert (response.status_code, response.json()["field"]) == (422, field)
    assert response.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"transport": "http", "url": "ftp://x"}, "url"),
        ({"transport": "http", "url": "http://x", "headers": {"no name": "x"}}, "headers"),
        ({"transport": "http", "url": "http://169.254.169.254/mcp"}, "url"),
        ({"transport": "http", "url": "http://x", "credential": {"kind": "bearer", "token": "a b"}}, "credential"),
        ({"transport": "http", "url": "http://x", "certificate": {"certificate": "x", "key": "y"}}, "certificate"),
        ({"transport": "openapi", "document": "{}"}, "document"),
        ({"transport": "openapi", "document_url": "ftp://x"}, "document_url"),
    ],
)
async def test_what_a_server_on_the_network_cannot_be_is_told_at_its_field(
    admin: Person, new: dict[str, Any], field: str
) -> None:
    response = await admin.post("/servers", {"name": "certificate, OAuth, command", **new})
    assert (response.status_code, response.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"document_text": "{}"}, "document_text"),
        ({"document_text": "{}", "name": "a/b"}, "name"),
    ],
)
async def test_the_form_shows_what_cannot_be_at_its_own_field(admin: Person, sent: dict[str, str], field: str) -> None:
    form = {"name": "Shop", "transport": "openapi", "url": "", "document_text": "", **sent}
    page = await admin.http.post("/admin/t/default/servers/add", data=form)
    assert page.status_code == 422
    assert re.findall(r'<p class="error" id="([a-z_]+)-error">', page.text) == [field]


async def test_a_body_that_is_no_json_is_refused(admin: Person) -> None:
    post = admin.http.post
    json_header = {"Content-Type": "application/json"}
    assert (await post("/api/v1/servers", content=b"{", headers=json_header)).status_code == 422
    assert (await post("/api/v1/servers", content=b"[" * 100_000, headers=json_header)).status_code == 422
    assert (await post("/api/v1/servers", content=b"name=x")).status_code == 415
    too_long = b'{"name": "' + b"x" * (4 * 1024 * 1024) + b'"}'
    assert (await post("/api/v1/servers", content=too_long, headers=json_header)).status_code == 413


async def test_a_name_that_is_taken_is_a_conflict(admin: Person, tmp_path: Path) -> None:
    await admin.post("/servers", _local(tmp_path))
    assert (await admin.post("/servers", _local(tmp_path))).status_code == 409


async def test_a_configuration_is_imported_server_by_server(admin: Person, tmp_path: Path) -> None:
    document = {
        "mcpServers": {
            "one": {"command": sys.executable, "args": [str(LOCAL_MCP)]},
            "two": {"url": "https://mcp.example/mcp"},
            "bad": {"args": []},
        }
    }
    outcomes = (await admin.post("/servers/import", {"document": json.dumps(document)})).json()
    assert {outcome["name"]: outcome["id"] is not None for outcome in outcomes} == {
        None: False,
        "one": True,
        "two": True,
    }
    assert "bad" in next(outcome["error"] for outcome in outcomes if outcome["id"] is None)
    refused = await admin.post("/servers/import", {"document": "{}"})
    assert (refused.status_code, refused.json()["field"]) == (422, "document")


async def test_a_server_is_tried_before_it_is_saved(admin: Person, tmp_path: Path) -> None:
    tried = (await admin.post("/servers/test", {"server": _local(tmp_path)})).json()
    assert tried["ok"], tried
    assert "calculator" in tried["tools"]
    assert (await admin.get("/servers")).json() == []
    broken = {**_local(tmp_path), "args": ["-c", "import sys; sys.exit('it is broken')"]}
    tried = (await admin.post("/servers/test", {"server": broken})).json()
    assert (tried["ok"], "it is broken" in tried["log"] + tried["error"]) == (False, True)


async def test_a_changed_server_is_tried_with_its_stored_secrets(admin: Person, tmp_path: Path) -> None:
    made = (await admin.post("/servers", _local(tmp_path))).json()
    body = {"server_id": made["card"]["id"], "change": {"description": "x"}}
    assert (await admin.post("/servers/test", body)).json()["ok"]
    assert (await admin.post("/servers/test", {})).status_code == 422


async def test_a_server_that_is_switched_off_takes_its_tools_along(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    assert (await admin.post(f"/servers/{server_id}/disable")).json()["state"] == "disabled"
    found = await gateway.call("tool_search", {"query": "calculate"})
    assert json.loads(found["content"][0]["text"])["total_found"] == 0
    assert (await admin.post(f"/servers/{server_id}/check")).status_code == 409
    assert (await admin.post(f"/servers/{server_id}/enable")).json()["enabled"]
    found = await gateway.call("tool_search", {"query": "calculate"})
    assert json.loads(found["content"][0]["text"])["total_found"] > 0


async def test_a_check_tells_state_and_latency(gateway: RunningGateway, admin: Person, tmp_path: Path) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path, sync=False)
    connection = (await admin.post(f"/servers/{server_id}/check")).json()
    assert connection["state"] == "connected"
    assert connection["latency_ms"] > 0


async def test_credentials_and_tuning_are_set_and_only_their_kind_is_shown(admin: Person) -> None:
    made = await admin.post("/servers", {"name": "Web", "transport": "http", "url": "https://mcp.example/mcp"})
    server_id = made.json()["card"]["id"]
    body = {"credential": {"kind": "bearer", "token": "s3cret"}}
    given = await admin.put(f"/servers/{server_id}/credentials", body)
    assert given.status_code == 200, given.text
    assert given.json()["card"]["credential"] == "bearer"
    assert "s3cret" not in given.text
    refused = await admin.put(f"/servers/{server_id}/credentials", {"credential": {"kind": "bearer", "token": "a b"}})
    assert (refused.status_code, refused.json()["field"]) == (422, "credential")
    tuned = await admin.put(f"/servers/{server_id}/tuning", {"call_timeout_seconds": 5, "session": "per_client"})
    assert tuned.json()["tuning"]["call_timeout_seconds"] == 5
    assert (await admin.put(f"/servers/{server_id}/tuning", {"call_timeout_seconds": -1})).status_code == 422


async def test_a_token_adds_no_command_unless_that_is_switched_on(admin: Person, tmp_path: Path) -> None:
    made = (await admin.post("/tokens", {"name": "ci", "role": "admin"})).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    for path, body in (
        ("/servers", _local(tmp_path)),
        ("/servers/test", {"server": _local(tmp_path)}),
    ):
        refused = await admin.http.post(f"/api/v1{path}", json=body, headers=bearer)
        assert refused.status_code == 403
        assert "admin.allow_stdio" in refused.json()["detail"]
    web = {"name": "Web", "transport": "http", "url": "https://mcp.example/mcp"}
    assert (await admin.http.post("/api/v1/servers", json=web, headers=bearer)).status_code == 201
    document = json.dumps({"mcpServers": {"one": {"command": "true"}}})
    imported = await admin.http.post("/api/v1/servers/import", json={"document": document}, headers=bearer)
    assert imported.json()[0]["id"] is None


async def test_who_is_limited_to_tenants_adds_no_command(sign_in_as: SignInAs, tmp_path: Path) -> None:
    limited = await sign_in_as("lim", "admin", ["default"])
    assert (await limited.post("/servers", _local(tmp_path))).status_code == 403


async def test_a_command_that_runs_already_is_not_changed_without_leave(
    admin: Person, sign_in_as: SignInAs, tmp_path: Path
) -> None:
    server_id = (await admin.post("/servers", _local(tmp_path))).json()["card"]["id"]
    limited = await sign_in_as("lim", "admin", ["default"])
    for change in ({"args": ["-c", "1"]}, {"env": {"LD_PRELOAD": "x"}}, {"cwd": "/"}, {"command": "sh"}):
        assert (await limited.patch(f"/servers/{server_id}", change)).status_code == 403
    assert (await limited.patch(f"/servers/{server_id}", {"description": "fine"})).status_code == 200


async def test_only_listed_commands_are_added(settings: Settings, tmp_path: Path) -> None:
    listed = replace(settings, guards=replace(settings.guards, commands=("npx",)))
    async with open_components(listed) as parts, running_gateway(parts) as gateway:
        await Accounts(parts.database, PasswordHasher()).create("ada", PASSWORD)
        signed_in = await gateway.http.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
        headers = {"X-CSRF-Token": signed_in.json()["csrf_token"]}
        refused = await gateway.http.post("/api/v1/servers", json=_local(tmp_path), headers=headers)
        assert (refused.status_code, refused.json()["field"]) == (422, "command")
        assert "guards.commands" in refused.json()["detail"]
        tried = await gateway.http.post("/api/v1/servers/test", json={"server": _local(tmp_path)}, headers=headers)
        assert tried.status_code == 422
        named = {"name": "ok", "transport": "stdio", "command": "npx"}
        assert (await gateway.http.post("/api/v1/servers", json=named, headers=headers)).status_code == 201


async def test_versions_are_compared_gone_back_to_and_let_go(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    script = tmp_path / "changing.py"
    original = LOCAL_MCP.read_text(encoding="utf-8")
    script.write_text(original, encoding="utf-8")
    args, env = [str(script), "--root", str(tmp_path)], {"PYTHONPATH": str(LOCAL_MCP.parent)}
    body = {**_local(tmp_path), "args": args, "env": env}
    server_id = (await admin.post("/servers", body)).json()["card"]["id"]
    await gateway.parts.sync.run(1, server_id)
    script.write_text(original.replace("def calculator(", "def abacus("), encoding="utf-8")
    await gateway.parts.pool.close_server(server_id)
    await gateway.parts.sync.run(1, server_id)

    versions = (await admin.get(f"/servers/{server_id}/versions")).json()["items"]
    assert [version["version"] for version in versions] == [2, 1]
    compared = (await admin.get(f"/servers/{server_id}/versions/compare", before=1, after=2)).json()
    assert (compared["added"], compared["removed"], compared["breaking"]) == (["abacus"], ["calculator"], True)

    restored = await admin.post(f"/servers/{server_id}/versions/1/restore")
    assert restored.status_code == 200, restored.text
    assert (await admin.get("/tools", text="calculator")).json()["total"] == 1
    assert (await admin.get(f"/servers/{server_id}/versions")).json()["items"][0]["restores"] == 1
    assert (await admin.post(f"/servers/{server_id}/unpin")).status_code == 204
    assert (await admin.post(f"/servers/{server_id}/versions/4711/restore")).status_code == 404
