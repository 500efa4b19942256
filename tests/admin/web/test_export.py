"""Lists as CSV files."""

from __future__ import annotations

import csv
import io

import httpx2

from tests.admin.conftest import Person, SignInAs
from tests.support.gateway import RunningGateway

HERE = "/admin/t/default"


def _rows(answer: httpx2.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment;")
    return list(csv.DictReader(io.StringIO(answer.text)))


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
    assert "No admin matches." in (await admin.http.get("/admin/admins", params={"q": "nobody"})).text
    assert (await limited.http.get("/admin/admins/export")).status_code == 403
