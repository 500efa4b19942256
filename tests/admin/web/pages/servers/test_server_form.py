"""The forms that add and change a server, without a browser."""

from __future__ import annotations

import json
import re

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway
from tests.support.waiting import until
from tests.upstream.http.tls import made, pem


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"document_text": "{}"}, "document_text"),
        ({"document_text": "{}", "name": "a/b"}, "name"),
        ({"url": "https://shop.example/api.json", "address": "ftp://x"}, "address"),
        ({"document_text": "{}", "prefix": "a b"}, "prefix"),
        ({"document_text": "{}", "headers": "no header"}, "headers"),
    ],
)
async def test_the_form_shows_what_cannot_be_at_its_own_field(admin: Person, sent: dict[str, str], field: str) -> None:
    form = {"name": "Shop", "transport": "openapi", "url": "", "document_text": "", **sent}
    page = await admin.http.post("/admin/t/default/servers/add", data=form)
    assert page.status_code == 422
    assert re.findall(r'<p class="error" id="([a-z_]+)-error">', page.text) == [field]


HERE = "/admin/t/default"


async def test_a_server_is_added_with_a_certificate_for_mutual_tls(gateway: RunningGateway, admin: Person) -> None:
    pair = pem(*made("gateway"))
    form = {"name": "Locked", "transport": "http", "url": "https://localhost:1/mcp"}
    for wrong, told in (
        ({"certificate": "", "key": pair.key}, "The certificate is missing that the key belongs to"),
        ({"certificate": "nonsense", "key": pair.key}, "The client certificate cannot be used"),
    ):
        refused = await admin.http.post(f"{HERE}/servers/add", data={**form, **wrong})
        assert refused.status_code == 422
        assert f'id="certificate-error">{told}' in refused.text
        assert wrong["certificate"] in refused.text
        assert 'value="Locked"' in refused.text
        assert pair.key.splitlines()[1] not in refused.text

    sent = {"certificate": pair.certificate, "key": pair.key, "authority": pair.certificate}
    added = await admin.http.post(f"{HERE}/servers/add", data={**form, **sent})
    assert added.status_code == 303
    server_id = int(added.headers["location"].rpartition("/")[2])
    stored = (await gateway.parts.servers.spec(1, server_id)).certificate
    assert stored is not None
    assert stored.key.strip() == pair.key.strip()
    page = (await admin.http.get(f"{HERE}/servers/{server_id}/edit")).text
    assert "a certificate for mutual TLS" in page
    assert pair.key.splitlines()[1] not in page

    await admin.http.post(f"{HERE}/servers/{server_id}/credential", data={"credential": "bearer", "token": "t", **sent})
    assert (await gateway.parts.servers.spec(1, server_id)).certificate == stored
    await admin.http.post(f"{HERE}/servers/{server_id}/credential", data={"credential": "bearer", "token": "t"})
    assert (await gateway.parts.servers.spec(1, server_id)).certificate is None


async def test_an_api_is_added_with_address_headers_and_prefix(gateway: RunningGateway, admin: Person) -> None:
    document = (
        '{"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": {"/items": {"get": '
        '{"operationId": "listItems", "responses": {"200": {"description": "Items"}}}}}}'
    )
    form = {
        "name": "Shop",
        "transport": "openapi",
        "url": "",
        "document_text": document,
        "address": "http://127.0.0.1:9/v1",
        "headers": "X-Shop: s3cret",
        "prefix": "shop_api",
    }
    added = await admin.http.post(f"{HERE}/servers/add", data=form)
    assert added.status_code == 303
    server_id = int(added.headers["location"].rpartition("/")[2])
    spec = await gateway.parts.servers.spec(1, server_id)
    assert (spec.url, spec.headers, spec.prefix) == (form["address"], {"X-Shop": "s3cret"}, "shop_api")

    async def synced() -> bool:
        return [server.tool_count for server in await gateway.parts.servers.list(1)] == [1]

    await until(synced)
    edit = (await admin.http.get(f"{HERE}/servers/{server_id}/edit")).text
    assert 'name="address" value="http://127.0.0.1:9/v1"' in edit
    assert "X-Shop: ********" in edit
    assert "s3cret" not in edit
    change = {"name": "Shop", "address": "http://127.0.0.1:9/v2", "headers": "X-Shop: ********"}
    assert (await admin.http.post(f"{HERE}/servers/{server_id}/edit", data=change)).status_code == 303
    spec = await gateway.parts.servers.spec(1, server_id)
    assert (spec.url, spec.headers) == ("http://127.0.0.1:9/v2", {"X-Shop": "s3cret"})


async def test_what_a_pasted_configuration_leaves_open_is_asked_for(gateway: RunningGateway, admin: Person) -> None:
    document = json.dumps(
        {
            "inputs": [{"id": "team", "type": "promptString", "description": "Your team"}],
            "servers": {
                "notes": {
                    "url": "http://127.0.0.1:9/${input:team}",
                    "headers": {"Authorization": "Bearer ${NOTES_KEY}"},
                }
            },
        }
    )
    asked = await admin.http.post(f"{HERE}/servers/paste", data={"document": document})
    assert asked.status_code == 200
    assert re.search(r'type="password" id="asked-\d" name="value.NOTES_KEY"', asked.text)
    assert re.search(r'type="text" id="asked-\d" name="value.input:team"', asked.text)
    assert "Your team" in asked.text
    assert await gateway.parts.servers.list(1) == []

    half = {"document": document, "value.NOTES_KEY": "s3cret", "value.input:team": ""}
    again = await admin.http.post(f"{HERE}/servers/paste", data=half)
    assert "2 values open" in again.text
    assert "s3cret" not in again.text
    assert (await admin.http.post(f"{HERE}/servers/paste", data={**half, "value.input:team": "red"})).status_code == 303
    [server] = await gateway.parts.servers.list(1)
    spec = await gateway.parts.servers.spec(1, server.id)
    assert (spec.url, spec.headers) == ("http://127.0.0.1:9/red", {"Authorization": "Bearer s3cret"})
    assert server.enabled

    other = document.replace("notes", "other").replace("/${input:team}", "")
    without = await admin.http.post(f"{HERE}/servers/paste", data={"document": other, "without": "1"})
    assert "left disabled" in without.text
    assert [each.enabled for each in await gateway.parts.servers.list(1) if each.name == "other"] == [False]
