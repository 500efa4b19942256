"""Who may have the gateway run a command, through the REST API."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.components import open_components
from gateway.settings import Settings
from tests.admin.conftest import PASSWORD, Person, SignInAs
from tests.support.gateway import LOCAL_MCP, running_gateway


def _local(root: Path, **more: Any) -> dict[str, Any]:
    args = [str(LOCAL_MCP), "--root", str(root)]
    return {"name": "Local MCP", "transport": "stdio", "command": sys.executable, "args": args, **more}


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
