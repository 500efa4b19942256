"""Links to a member whose address takes connections and never answers, as one that is stopped in its tracks does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cluster.links.channel import Channel, connect
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.signed_channel import HopKey
from gateway.cluster.member import Member
from gateway.cluster.shared_key_counts import SharedKeyCounts
from gateway.errors import LinkLostError
from tests.support.waiting import until

# One after the other they would wait for minutes.
WAITING = 40
IN_ALL_SECONDS = 20


@dataclass
class Tries:
    """How often a connection was opened."""

    count: int = 0

    async def connect(self, address: str) -> Channel:
        self.count += 1
        return await connect(address)


@pytest.fixture
def silent() -> Iterator[Member]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Member("m000000000001", f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.fixture
def tries() -> Tries:
    return Tries()


@pytest.fixture
async def hop(tries: Tries) -> AsyncIterator[Hop]:
    hop = Hop(lambda: [HopKey.of(b"key")], lambda: "m000000000002", tries.connect)
    async with hop.running():
        yield hop


async def test_all_who_wait_for_a_link_learn_from_one_try_that_there_is_none(
    hop: Hop, tries: Tries, silent: Member
) -> None:
    waiting = (hop.link(silent) for _ in range(WAITING))
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), IN_ALL_SECONDS)
    assert [type(outcome) for outcome in outcomes] == [LinkLostError] * WAITING
    assert tries.count == 1

    async def is_tried_again() -> bool:
        assert not await hop.is_reachable(silent)
        return tries.count == 2

    await until(is_tried_again)


async def test_who_waits_for_a_link_no_more_keeps_nobody_else_from_it(hop: Hop, tries: Tries, silent: Member) -> None:
    gone = asyncio.create_task(hop.link(silent))
    staying = asyncio.create_task(hop.link(silent))
    await until(lambda: tries.count == 1)
    gone.cancel()
    with pytest.raises(LinkLostError):
        await asyncio.wait_for(staying, IN_ALL_SECONDS)
    assert gone.cancelled()
    assert tries.count == 1


async def test_requests_are_let_through_while_the_member_that_counts_them_does_not_answer(
    hop: Hop, silent: Member
) -> None:
    membership: Any = SimpleNamespace(
        id="m000000000002", others={silent.id: silent}, is_leaving=True, subscribe=lambda _: None
    )
    counts = SharedKeyCounts(membership, hop)

    async def request() -> bool:
        return await counts.count_request(1, WAITING) is None and await counts.begin_call(1, WAITING)

    requests = (request() for _ in range(WAITING))
    assert await asyncio.wait_for(asyncio.gather(*requests), IN_ALL_SECONDS) == [True] * WAITING
    # Counted here, as long as nobody else does.
    assert await counts.count_request(1, WAITING) is not None
    assert not await counts.begin_call(1, WAITING)
