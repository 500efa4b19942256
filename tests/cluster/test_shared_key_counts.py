"""Requests a minute are counted on, whoever comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from gateway.access.caller import Limits
from gateway.cluster.links.link import LinkMessage
from gateway.cluster.member import Member
from gateway.cluster.membership import Membership
from gateway.cluster.shared_key_counts import SharedKeyCounts
from gateway.settings import Settings
from tests.cluster.conftest import cluster_of, joined_gateway
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIMIT = 3
# So many that the counts of some move and those of others stay.
KEYS = 12


@contextlib.asynccontextmanager
async def gateway_of_its_own(settings: Settings) -> AsyncIterator[RunningGateway]:
    """A member in a task of its own, so that it may end before those that came after it."""
    ready: asyncio.Future[RunningGateway] = asyncio.get_running_loop().create_future()
    ending = asyncio.Event()

    async def run() -> None:
        async with joined_gateway(settings) as gateway:
            ready.set_result(gateway)
            await ending.wait()

    task = asyncio.create_task(run())
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result()
    finally:
        ending.set()
        await task


async def ping(gateway: RunningGateway, key: str) -> int:
    return (await gateway.post(PING, **{"X-API-Key": key})).status_code


def membership_of(gateway: RunningGateway) -> Membership:
    return cluster_of(gateway).membership


def counts_of(gateway: RunningGateway) -> SharedKeyCounts:
    return gateway.parts.caller_authenticator.limiter._counts


def knows(gateway: RunningGateway, key_ids: list[int]) -> bool:
    """Whether all requests of the keys are known where each is counted, as far as `gateway` counts them."""
    counts = counts_of(gateway)
    return all(
        sum(map(len, counts._counts._requests.get(key_id, {}).values())) == LIMIT
        for key_id in key_ids
        if counts._keeper(key_id) is None
    )


async def test_what_was_let_through_counts_while_members_come_and_go(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first_alone = await stack.enter_async_context(contextlib.AsyncExitStack())
        first = await first_alone.enter_async_context(gateway_of_its_own(settings))
        made = [
            await first.parts.keys.create(1, f"limited {number}", ["all"], limits=Limits(requests_per_minute=LIMIT))
            for number in range(KEYS)
        ]
        keys, ids = [each.key for each in made], [each.id for each in made]
        assert [await ping(first, key) for key in keys for _ in range(LIMIT)] == [200] * KEYS * LIMIT

        # Another comes, and counts some of the keys.
        second = await stack.enter_async_context(gateway_of_its_own(settings))
        await until(lambda: bool(membership_of(first).others and membership_of(second).others))
        await until(lambda: knows(first, ids) and knows(second, ids))
        for gateway in (second, first):
            assert [await ping(gateway, key) for key in keys] == [429] * KEYS

        # The first one stops: the second one counts all of them, and knows of what the first one has let through.
        await membership_of(first).leave()
        await until(lambda: all(counts_of(second)._keeper(key_id) is None for key_id in ids) and knows(second, ids))
        await first_alone.aclose()
        await until(lambda: not membership_of(second).others)
        assert [await ping(second, key) for key in keys] == [429] * KEYS

        # Its successor has some of them told by the second.
        third = await stack.enter_async_context(gateway_of_its_own(settings))
        await until(lambda: bool(membership_of(third).others and membership_of(second).others))
        await until(lambda: knows(second, ids) and knows(third, ids))
        for gateway in (third, second):
            assert [await ping(gateway, key) for key in keys] == [429] * KEYS


async def test_what_was_told_by_a_member_that_leaves_counts_although_it_is_gone_before_that_is_seen() -> None:
    leaving = Member("m000000000001", "127.0.0.1:1")
    changed: list[Callable[[], None]] = []
    membership: Any = SimpleNamespace(
        id="m000000000002", others={leaving.id: leaving}, is_leaving=False, subscribe=changed.append
    )
    hop: Any = SimpleNamespace(services={}, subscribe_left=lambda _: None)
    counts = SharedKeyCounts(membership, hop)
    (serve,) = hop.services.values()
    stream = SimpleNamespace(peer=leaving.id)
    for key_id in range(KEYS):
        # Which it counts, as far as is known here, in half of the cases.
        await serve(stream, LinkMessage({"act": "request", "key": key_id, "limit": 0, "ages": [1.0] * LIMIT}))
    membership.others = {}
    for tell in changed:
        tell()
    assert [await counts.count_request(key_id, LIMIT) is None for key_id in range(KEYS)] == [False] * KEYS
