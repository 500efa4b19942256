"""Servers through the REST API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.access.persons import Identity
from gateway.catalog.servers.server_definition import ServerDefinition
from tests.admin.conftest import Person, SignInAs
from tests.support.gateway import LOCAL_MCP, RunningGateway, add_local_mcp


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


async def test_a_server_lets_each_person_in_as_rest_says_and_who_is_connected_is_listed_and_withdrawn(
    gateway: RunningGateway, sign_in_as: SignInAs
) -> None:
    ada = await sign_in_as("ada")
    parts = gateway.parts
    server_id = await parts.servers.add(1, ServerDefinition("Tracker", "http", url="https://tracker.example/mcp"))
    kind = {"kind": "secret", "place": "header", "name": "X-Api-Key", "form": "{secret}"}
    assert (await ada.put(f"/servers/{server_id}/personal", {"personal": kind})).json()["card"]["personal"] == "secret"
    assert (await ada.put(f"/servers/{server_id}/personal", {"personal": {"kind": "magic"}})).status_code == 422
    assert (await ada.put(f"/servers/{server_id}/personal", {"personal": kind, "list_as": 7})).status_code == 404
    person = await parts.persons.ensure(1, Identity("https://issuer.example", "1"), "ann")
    await parts.connections.connect(person, server_id, "secret", {"secret": "s3cret-of-ann"})
    page = await ada.get("/connections")
    assert [(each["person_name"], each["server_name"]) for each in page.json()["items"]] == [("ann", "Tracker")]
    assert "s3cret-of-ann" not in page.text
    vera = await sign_in_as("vera", "viewer")
    assert (await vera.delete(f"/connections/{person.id}/{server_id}")).status_code == 403
    assert (await ada.delete(f"/connections/{person.id}/{server_id}")).status_code == 204
    assert (await ada.get("/connections")).json()["items"] == []
    trail = (await ada.get("/audit")).text
    assert [each in trail for each in ("connection.added", "connection.removed", "s3cret-of-ann")] == [
        True,
        True,
        False,
    ]
    assert (await ada.put(f"/servers/{server_id}/personal", {"personal": None})).json()["card"]["personal"] is None
