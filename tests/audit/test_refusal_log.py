"""Requests that were not let in, as the audit log has them."""

from __future__ import annotations

import pytest

from gateway.access.caller import Limits
from gateway.audit.refusal_log import RefusalLog
from gateway.components import Components
from gateway.edge.trusted_proxies import counted_address
from tests.support.audit import audit_rows, default_tenant_id
from tests.support.gateway import RunningGateway


async def test_a_request_over_the_limit_of_its_key_leaves_a_denial(gateway: RunningGateway) -> None:
    tenant = await default_tenant_id(gateway.parts.database)
    limits = Limits(requests_per_minute=1)
    key = (await gateway.parts.keys.create(tenant, "eager", ["all"], limits=limits)).key
    for status in (200, 429):
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await gateway.post(ping, **{"X-API-Key": key})).status_code == status
    rows = await audit_rows(gateway.parts.database, action="access.refused", tenant=0)
    assert (rows[0]["target"], rows[0]["outcome"]) == ("key eager", "denied")


async def test_a_refused_key_leaves_a_denial_without_the_key(gateway: RunningGateway) -> None:
    key = f"mg_{'0' * 64}"
    for _ in range(30):
        assert (await gateway.post({}, **{"X-API-Key": key})).status_code == 401
    rows = await audit_rows(gateway.parts.database, action="access.refused", tenant=0, wanted=20)
    assert len(rows) == 20
    assert rows[0]["outcome"] == "denied"
    assert "unknown" in rows[0]["details"]["reason"]
    assert key not in str([dict(row) for row in rows])


@pytest.mark.parametrize("addresses", [["192.0.2.1"], [f"2001:db8::{number}" for number in range(30)]])
async def test_a_flood_from_one_network_becomes_a_number_once_its_minute_is_over(
    parts: Components, addresses: list[str]
) -> None:
    now = 0.0
    log = RefusalLog(parts.recorder, lambda: now)
    for number in range(50):
        log.record(addresses[number % len(addresses)], "/mcp", "The key is unknown.")
    log.record("198.51.100.7", "/mcp", "The key is unknown.")
    now = 60.0
    log.record("198.51.100.7", "/mcp", "The key is unknown.")
    rows = await audit_rows(parts.database, action="access.refused", tenant=0, wanted=23)
    counted = counted_address(addresses[0])
    assert len(rows) == 23
    assert [(row["address"], row["details"]) for row in rows if row["target"] == "further requests"] == [
        (counted, {"count": 30})
    ]
