"""The forms that add and change a server, without a browser."""

from __future__ import annotations

import re

import pytest

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway
from tests.upstream.http.test_mutual_tls import made, pem


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
