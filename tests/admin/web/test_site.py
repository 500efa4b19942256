"""Who may open which page and send which form: signed out, as a viewer, without a token, in another tenant."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator

import httpx2

from gateway.access.tenants import create_tenant
from gateway.admin.rest.api import OPERATIONS
from gateway.admin.web.page import Page
from gateway.admin.web.site import PAGES
from gateway.catalog.servers.server_definition import ServerDefinition
from tests.admin.conftest import Person, SignInAs
from tests.support.audit import default_tenant_id
from tests.support.gateway import RunningGateway
from tests.support.waiting import until


def _address(page: Page, tenant: str = "default") -> str:
    path = re.sub(r"{\w+:int}", "1", page.path)
    return f"/admin/t/{tenant}{path}" if page.in_tenant else f"/admin{path}"


async def _send(http: httpx2.AsyncClient, page: Page) -> httpx2.Response:
    return await http.request(page.method, _address(page), data={} if page.method == "POST" else None)


def _forms() -> Iterator[Page]:
    return (page for page in PAGES if page.method == "POST")


def test_a_refusal_of_each_page_has_a_name_of_its_own() -> None:
    actions = [page.requirement.action for page in PAGES]
    assert len(set(actions)) == len(actions)


async def test_who_has_not_signed_in_is_sent_to_sign_in(gateway: RunningGateway) -> None:
    for page in PAGES:
        response = await _send(gateway.http, page)
        assert response.status_code == 303, page.path
        assert response.headers["location"].startswith("/signin"), page.path


async def test_a_viewer_sends_no_form_that_changes_anything(viewer: Person) -> None:
    changing = [page for page in PAGES if page.write]
    assert len(changing) > 25
    for page in changing:
        assert (await _send(viewer.http, page)).status_code == 403, page.path


def test_a_page_takes_as_much_as_the_rest_operation_that_does_the_same() -> None:
    operations = {operation.name.removeprefix("get_"): operation for operation in OPERATIONS}
    alike = 0
    for page in PAGES:
        operation = operations.get(page.handle.__name__.removeprefix("show_"))
        if operation is not None:
            assert page.requirement.write == operation.requirement.write, page.path
            alike += 1
    assert alike > 20


async def test_a_viewer_reads_no_servers_log_and_runs_no_check(
    gateway: RunningGateway, admin: Person, viewer: Person
) -> None:
    script = "import sys; print('pass' + 'phrase\\nRuntimeError: no luck', file=sys.stderr, flush=True); input()"
    tenant = await default_tenant_id(gateway.parts.database)
    definition = ServerDefinition("Chatty", "stdio", command=sys.executable, args=("-c", script))
    server = await gateway.parts.servers.add(tenant, definition)
    await admin.post(f"/servers/{server}/check")
    page = f"/admin/t/default/servers/{server}"

    async def is_logged() -> bool:
        return "passphrase" in (await admin.http.get(page)).text

    await until(is_logged)
    shown = await viewer.http.get(page)
    assert shown.status_code == 200
    assert "passphrase" not in shown.text
    assert "Check</button>" not in shown.text
    assert (await viewer.http.get(f"{page}/log")).status_code == 403
    assert (await viewer.http.post(f"{page}/check")).status_code == 403


async def test_a_viewer_sees_no_line_that_a_starting_server_writes(
    gateway: RunningGateway, admin: Person, viewer: Person
) -> None:
    script = "import sys, time; print('pass' + 'phrase', file=sys.stderr, flush=True); time.sleep(60)"
    tenant = await default_tenant_id(gateway.parts.database)
    definition = ServerDefinition("Slow", "stdio", command=sys.executable, args=("-c", script))
    server = await gateway.parts.servers.add(tenant, definition)
    await admin.post(f"/servers/{server}/sync")

    async def is_told() -> bool:
        return "passphrase" in (await admin.get("/servers")).text

    await until(is_told)
    page = f"/admin/t/default/servers/{server}"
    for seen in (
        await viewer.get("/servers"),
        await viewer.get("/sync"),
        await viewer.get(f"/servers/{server}/sync"),
        await viewer.get(f"/servers/{server}"),
        await viewer.http.get(page),
        await viewer.http.get("/admin/t/default/servers"),
    ):
        assert seen.status_code == 200
        assert "passphrase" not in seen.text


async def test_no_form_is_taken_with_a_session_alone(admin: Person) -> None:
    del admin.http.headers["X-CSRF-Token"]
    for page in _forms():
        assert (await _send(admin.http, page)).status_code == 403, page.path


async def test_who_is_limited_to_a_tenant_opens_no_page_of_another(
    gateway: RunningGateway, sign_in_as: SignInAs
) -> None:
    await create_tenant(gateway.parts.database, "other")
    limited = await sign_in_as("lim", "admin", ["other"])
    for page in PAGES:
        if page.in_tenant:
            assert (await _send(limited.http, page)).status_code == 404, page.path
        if page.gateway_wide:
            assert (await _send(limited.http, page)).status_code == 403, page.path
    assert (await limited.http.get("/admin")).headers["location"] == "/admin/t/other/overview"


async def test_a_form_that_is_too_large_or_does_not_say_how_large_is_not_read(
    gateway: RunningGateway, admin: Person
) -> None:
    async def without_length() -> AsyncIterator[bytes]:
        yield b"name=" + b"x" * 100

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    here = "/admin/t/default/roles"
    too_large = b"name=" + b"x" * gateway.parts.settings.server.max_body_bytes
    for client in (admin.http, gateway.http):
        assert (await client.post(here, content=too_large, headers=form)).status_code == 413
        assert (await client.post("/signin", content=too_large, headers=form)).status_code == 413
        assert (await client.post(here, content=without_length(), headers=form)).status_code == 413
    assert (await admin.http.post("/api/v1/sync", content=too_large, headers=form)).status_code == 413
