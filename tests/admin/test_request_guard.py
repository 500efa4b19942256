"""Who may do what: every operation, unauthenticated, without a CSRF token, as a viewer, and from another tenant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway.access.tenants import create_tenant
from gateway.admin.rest.api import OPERATIONS
from gateway.admin.rest.operation import Operation
from tests.admin.conftest import Person, SignInAs
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.waiting import until

HOST = "127.0.0.1"


def _path(operation: Operation) -> str:
    path = operation.path
    for name, _ in operation.parameters:
        path = path.replace("{" + name + "}", "1")
    return f"/api/v1{path}"


async def _send(http: httpx2.AsyncClient, operation: Operation, **parameters: str) -> httpx2.Response:
    body: dict[str, str] | None = {} if operation.body is not None else None
    return await http.request(operation.method, _path(operation), params=parameters, json=body)


async def test_nothing_is_answered_to_who_has_not_signed_in(gateway: RunningGateway) -> None:
    for operation in OPERATIONS:
        if not operation.public:
            response = await _send(gateway.http, operation)
            assert response.status_code == 401, operation.name
            assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_viewer_changes_nothing(viewer: Person) -> None:
    changing = [operation for operation in OPERATIONS if operation.write]
    assert len(changing) > 30
    for operation in changing:
        response = await _send(viewer.http, operation)
        assert response.status_code == 403, operation.name


async def test_no_change_is_made_with_a_session_alone(admin: Person) -> None:
    del admin.http.headers["X-CSRF-Token"]
    for operation in OPERATIONS:
        if operation.method != "GET" and not operation.public:
            response = await _send(admin.http, operation)
            assert response.status_code == 403, operation.name
    admin.http.headers["X-CSRF-Token"] = "0" * 64
    assert (await admin.post("/roles", {"name": "new"})).status_code == 403


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("path", "media_type"), [("/api/v1/session", "application/json"), ("/signin", FORM), ("/setup", FORM)]
)
async def test_who_has_not_signed_in_sends_little(gateway: RunningGateway, path: str, media_type: str) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 10_000

    headers = {"Content-Type": media_type}
    assert (await gateway.http.post(path, content=b" " * 65_536, headers=headers)).status_code != 413
    assert (await gateway.http.post(path, content=b" " * 65_537, headers=headers)).status_code == 413
    assert (await gateway.http.post(path, content=in_pieces(), headers=headers)).status_code == 413


async def test_a_page_of_another_site_changes_nothing(admin: Person) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        response = await admin.http.post("/api/v1/roles", json={"name": "new"}, headers=headers)
        assert response.status_code == 403
    own = {"Origin": str(admin.http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert (await admin.http.post("/api/v1/roles", json={"name": "new"}, headers=own)).status_code == 201


async def test_a_page_of_another_site_signs_nobody_in(gateway: RunningGateway, admin: Person) -> None:
    body = {"name": "ada", "password": "correct horse battery"}
    refused = await gateway.http.post("/api/v1/session", json=body, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


async def test_another_host_name_that_leads_here_is_refused(gateway: RunningGateway) -> None:
    response = await gateway.http.get("/api/v1/session", headers={"Host": "rebound.example"})
    assert response.status_code == 421


async def test_who_is_limited_to_a_tenant_gets_nothing_of_another(
    gateway: RunningGateway, sign_in_as: SignInAs, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    for operation in OPERATIONS:
        if operation.in_tenant:
            response = await _send(limited.http, operation, tenant="default")
            assert response.status_code == 404, operation.name
            assert "tenant" in response.json()["detail"], operation.name
        if operation.gateway_wide:
            assert (await _send(limited.http, operation)).status_code == 403, operation.name


async def test_things_of_another_tenant_are_not_there(
    gateway: RunningGateway, sign_in_as: SignInAs, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    bodies = {
        "PATCH": {"version": 1, "name": "x"},
        "POST": {"query": "x", "rules": [{"visibility": "ALLOW", "pattern": "*"}]},
    }
    for operation in OPERATIONS:
        if operation.in_tenant and operation.parameters:
            body = bodies.get(operation.method, {}) if operation.body is not None else None
            response = await limited.http.request(operation.method, _path(operation), json=body)
            if operation.name == "list_tool_calls":
                assert response.json() == []
                continue
            assert response.status_code in (404, 422), (operation.name, response.text)
    for path in ("/servers", "/roles", "/keys", "/profiles", "/standings", "/sync"):
        assert (await limited.get(path)).json() == []
    assert (await limited.get("/tools")).json()["total"] == 0
    assert [tenant["slug"] for tenant in (await limited.get("/tenants")).json()] == ["other"]


async def test_rules_cannot_name_things_of_another_tenant(
    gateway: RunningGateway, sign_in_as: SignInAs, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    role = (await limited.post("/roles", {"name": "mine"})).json()
    for target in ({"server_id": server_id}, {"tool_id": 1}):
        response = await limited.post(f"/roles/{role['id']}/rules", {"rules": [{"visibility": "ALLOW", **target}]})
        assert response.status_code == 404


@pytest.mark.parametrize("path", ["nothing", "servers/abc", "servers/99999999999999999999"])
async def test_an_address_without_anything_is_a_problem_in_json(admin: Person, path: str) -> None:
    response = await admin.http.get(f"/api/v1/{path}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


async def test_a_method_that_is_not_there_says_which_are(admin: Person) -> None:
    response = await admin.http.put("/api/v1/servers", json={})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_denials_are_in_the_trace(gateway: RunningGateway, admin: Person, viewer: Person) -> None:
    await viewer.post("/roles", {"name": "new"})
    assert await _denied(admin, "/audit/gateway", 1) == [("vic", "api.create_role", "/api/v1/roles", HOST)]


async def test_a_denied_change_on_a_page_is_in_the_trace_as_one_of_the_rest_api_is(
    gateway: RunningGateway, admin: Person, viewer: Person
) -> None:
    here = "/admin/t/default/roles"
    token = {"csrf_token": viewer.http.headers["X-CSRF-Token"]}
    assert (await viewer.http.post(here, data={"name": "new", **token})).status_code == 403
    assert await _denied(admin, "/audit/gateway", 1) == [("vic", "page.create_role", here, HOST)]


@pytest.mark.parametrize("token", [None, "0" * 64])
async def test_a_change_without_the_sessions_token_is_in_the_trace(admin: Person, token: str | None) -> None:
    own = admin.http.headers.pop("X-CSRF-Token")
    headers = {} if token is None else {"X-CSRF-Token": token}
    assert (await admin.http.post("/api/v1/roles", json={"name": "new"}, headers=headers)).status_code == 403
    form = {"name": "new"} if token is None else {"name": "new", "csrf_token": token}
    assert (await admin.http.post("/admin/t/default/roles", data=form)).status_code == 403
    admin.http.headers["X-CSRF-Token"] = own
    assert await _denied(admin, "/audit/gateway", 2) == [
        ("ada", "page.create_role", "/admin/t/default/roles", HOST),
        ("ada", "api.create_role", "/api/v1/roles", HOST),
    ]


async def test_a_change_in_a_foreign_tenant_is_in_the_trace(
    gateway: RunningGateway, admin: Person, sign_in_as: SignInAs
) -> None:
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    assert (await limited.post("/roles", {"name": "new"}, tenant="default")).status_code == 404
    assert (await limited.http.post("/admin/t/default/roles", data={"name": "new"})).status_code == 404
    assert (await limited.http.post("/admin/tenants", data={"slug": "third"})).status_code == 403
    assert await _denied(admin, "/audit/gateway", 3) == [
        ("lim", "page.create_tenant", "/admin/tenants", HOST),
        ("lim", "page.create_role", "/admin/t/default/roles", HOST),
        ("lim", "api.create_role", "/api/v1/roles", HOST),
    ]
    # What is refused leads to no row in the tenant that it was about.
    assert (await admin.get("/audit", outcome="denied")).json()["items"] == []


async def test_a_change_that_only_its_function_refuses_is_in_the_trace_of_the_tenant(
    gateway: RunningGateway, admin: Person, sign_in_as: SignInAs
) -> None:
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    command = {"name": "Shell", "transport": "stdio", "command": "sh"}
    assert (await limited.post("/servers", command)).status_code == 403
    assert (await limited.http.post("/admin/t/other/servers/add", data=command)).status_code == 403
    document = json.dumps({"mcpServers": {"one": {"command": "sh"}}})
    assert (await limited.post("/servers/import", {"document": document})).json()[0]["id"] is None
    assert (await limited.http.post("/admin/t/other/servers/paste", data={"document": document})).status_code == 422
    rows = await _denied(admin, "/audit", 4, tenant="other")
    assert [row[1:3] for row in rows] == [
        ("page.import_servers", "/admin/t/other/servers/paste"),
        ("api.import_servers", "/api/v1/servers/import"),
        ("page.add_server", "/admin/t/other/servers/add"),
        ("api.add_server", "/api/v1/servers"),
    ]


async def _denied(admin: Person, path: str, count: int, **parameters: str) -> list[tuple[str, str, str, str]]:
    """Who was refused what, newest first; the audit log is written beside the requests."""

    async def rows() -> list[tuple[str, str, str, str]]:
        page = (await admin.get(path, outcome="denied", **parameters)).json()
        return [(row["actor_name"], row["action"], row["target"], row["address"]) for row in page["items"]]

    async def enough() -> bool:
        return len(await rows()) >= count

    await until(enough)
    return await rows()
