"""The end of sessions whose connection was withdrawn."""

from __future__ import annotations

import asyncio

import anyio

from gateway.access.connections.session_revocation import SessionRevocation
from gateway.database.notices import ANYTHING
from tests.support.gateway import RunningGateway


async def test_it_ends_with_the_gateway_even_where_a_change_comes_in_at_that_instant(gateway: RunningGateway) -> None:
    parts = gateway.parts
    session_revocation = SessionRevocation(parts.connections, parts.pool, parts.notices)
    running = asyncio.create_task(session_revocation.run())
    await asyncio.sleep(0)
    for subscriber in parts.notices._subscribers:
        subscriber(ANYTHING)
    # The wait is over, and what waited has not run yet.
    await asyncio.sleep(0)
    running.cancel()
    with anyio.fail_after(5):
        await asyncio.wait([running])
    assert running.cancelled()
