"""Pages of lists and forms as they are sent, without a browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx2

from tests.admin.conftest import Person, SignInAs
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.upstream.http.test_mutual_tls import made, pem

HERE = "/admin/t/default"


def _rows(answer: httpx2.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment;")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_the_list_of_servers_counts_tools_in_quarantine(
    gateway: RunningGateway, admin: Person, tmp_path: Path
) -> None:
    server_id = await add_local_mcp(gateway.parts, tmp_path)
    assert " quarantined" not in (await admin.http.get(f"{HERE}/servers")).text
    tools = (await admin.get("/tools")).json()["items"]
    for tool in tools[:2]:
        assert (await admin.post(f"/tools/{tool['id']}/quarantine")).status_code == 200
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


async def test_keys_are_filtered_and_exported_without_their_secrets(gateway: RunningGateway, admin: Person) -> None:
    made_key = (await admin.post("/keys", {"name": "=HYPERLINK(1)", "roles": ["all"]})).json()["key"]
    export = await admin.http.get(f"{HERE}/keys/export")
    rows = _rows(export)
    assert {row["name"] for row in rows} == {"test", "'=HYPERLINK(1)"}
    assert {row["roles"] for row in rows} == {"all"}
    assert made_key not in export.text
    assert gateway.key not in export.text
    assert [row["name"] for row in _rows(await admin.http.get(f"{HERE}/keys/export", params={"q": "tes"}))] == ["test"]
    assert f"{HERE}/keys/export?q=tes" in (await admin.http.get(f"{HERE}/keys", params={"q": "tes"})).text


async def test_tenants_are_filtered_and_exported(admin: Person, sign_in_as: SignInAs) -> None:
    for slug, name in (("north", "North & South"), ("east", "@East")):
        assert (await admin.post("/tenants", {"slug": slug, "name": name})).status_code == 201
    rows = _rows(await admin.http.get("/admin/tenants/export"))
    assert {(row["slug"], row["name"]) for row in rows} >= {("north", "North & South"), ("east", "'@East")}
    filtered = await admin.http.get("/admin/tenants", params={"q": "h & s"})
    assert '<code class="muted">north</code>' in filtered.text
    assert '<code class="muted">east</code>' not in filtered.text
    assert "/admin/tenants/export?q=h%20%26%20s" in filtered.text
    limited = await sign_in_as("eve", "admin", ["east"])
    assert [row["slug"] for row in _rows(await limited.http.get("/admin/tenants/export"))] == ["east"]


async def test_admins_are_filtered_and_exported_to_those_who_run_the_gateway(
    admin: Person, viewer: Person, sign_in_as: SignInAs
) -> None:
    limited = await sign_in_as("eve", "admin", ["default"])
    rows = _rows(await viewer.http.get("/admin/admins/export"))
    assert [(row["name"], row["role"], row["tenants"]) for row in rows] == [
        ("ada", "admin", ""),
        ("eve", "admin", "default"),
        ("vic", "viewer", ""),
    ]
    assert not any("password_hash" in row for row in rows)
    assert [row["name"] for row in _rows(await admin.http.get("/admin/admins/export", params={"q": "DEFAULT"}))] == [
        "eve"
    ]
    assert "No admin fits." in (await admin.http.get("/admin/admins", params={"q": "nobody"})).text
    assert (await limited.http.get("/admin/admins/export")).status_code == 403
