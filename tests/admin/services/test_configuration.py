"""The configuration of a tenant, downloaded and uploaded."""

from __future__ import annotations

import yaml

from tests.admin.conftest import Person, SignInAs


async def test_a_document_that_was_downloaded_is_uploaded_again(admin: Person) -> None:
    await admin.post("/servers", {"name": "Web", "transport": "http", "url": "http://127.0.0.1:1/mcp"})
    await admin.post("/roles", {"name": "office", "default_visibility": "SEARCH"})
    answer = await admin.get("/configuration")
    assert answer.headers["content-type"] == "application/yaml"
    document = yaml.safe_load(answer.text)
    assert [role["name"] for role in document["roles"]] == ["all", "office"]
    same = await admin.post("/configuration", {"document": answer.text, "prune": True})
    assert {change["change"] for change in same.json()} == {"unchanged"}
    document["servers"] = [
        {"name": "New", "transport": "http", "url": "http://127.0.0.1:2/mcp", "headers": {"X": "${KEY}"}}
    ]
    body = {"document": yaml.safe_dump(document), "prune": True, "values": {"KEY": "secret"}}
    tried = (await admin.post("/configuration", {**body, "dry_run": True})).json()
    assert [(each["name"], each["change"]) for each in tried[:2]] == [("New", "added"), ("Web", "removed")]
    assert [server["name"] for server in (await admin.get("/servers")).json()] == ["Web"]
    assert (await admin.post("/configuration", body)).json() == tried
    assert [(each["name"], each["enabled"]) for each in (await admin.get("/servers")).json()] == [("New", True)]
    refused = await admin.post("/configuration", {"document": "modelgate: 1\nservers: 1\n"})
    assert (refused.status_code, refused.json()["field"]) == (422, "document")


async def test_who_may_not_add_a_command_may_not_by_a_document_either(sign_in_as: SignInAs) -> None:
    limited = await sign_in_as("lim", "admin", ["default"])
    document = "modelgate: 1\nservers: [{name: Shell, transport: stdio, command: sh}]\n"
    assert (await limited.post("/configuration", {"document": document})).status_code == 403
    assert (await limited.get("/servers")).json() == []
    viewer = await sign_in_as("vic", "viewer")
    assert (await viewer.get("/configuration")).status_code == 403
