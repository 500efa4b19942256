"""Tenants through the REST API."""

from __future__ import annotations

from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway


async def test_a_tenant_is_made_suspended_and_removed_after_its_slug_is_typed(
    gateway: RunningGateway, admin: Person
) -> None:
    tenant = (await admin.post("/tenants", {"slug": "acme", "name": "Acme"})).json()
    await admin.post("/roles", {"name": "all", "default_visibility": "SEARCH"}, tenant="acme")
    key = (await admin.post("/keys", {"name": "bot", "roles": ["all"]}, tenant="acme")).json()["key"]
    assert (await gateway.post({}, **{"X-API-Key": key})).status_code != 401
    suspended = await admin.patch(f"/tenants/{tenant['id']}", {"suspended": True, "name": "Acme Ltd"})
    assert suspended.json()["suspended_at"] is not None
    assert suspended.json()["name"] == "Acme Ltd"
    assert (await gateway.post({}, **{"X-API-Key": key})).status_code == 401
    refused = await admin.delete(f"/tenants/{tenant['id']}", confirmation="acm")
    assert (refused.status_code, refused.json()["field"]) == (422, "confirmation")
    assert (await admin.delete(f"/tenants/{tenant['id']}", confirmation="acme")).status_code == 204
    assert (await admin.get("/servers", tenant="acme")).status_code == 404
    assert (await admin.delete("/tenants/1", confirmation="default")).status_code == 422
