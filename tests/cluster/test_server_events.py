"""What servers say at one member, heard at another whose database does not answer for a while."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from gateway.cluster.links.channel import connect, listening
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.links.signed_channel import HopKey
from gateway.cluster.member import Member
from gateway.cluster.upstreams.server_events import ServerEvents
from gateway.errors import DatabaseError
from gateway.json_codec import Message
from gateway.task_set import TaskSet
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.spec import ServerSpec
from tests.support.waiting import until

CHATTY, QUIET = 1, 2
PROMPTS = "notifications/prompts/list_changed"
UPDATED = "notifications/resources/updated"
MESSAGE = "notifications/message"


def spec_of(server_id: int) -> ServerSpec:
    return ServerSpec(server_id, 1, f"Server {server_id}", f"s{server_id}", "http", url="https://server.example/")


@dataclass
class Heard:
    """What is heard at the other member, and whether the database says what it takes to reach the chatty server."""

    said: UpstreamNotifications
    notifications: list[tuple[int, str, Message]] = field(default_factory=list)
    sessions: list[tuple[int, bool]] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def read_spec(self, _: int, server_id: int) -> ServerSpec:
        if server_id == CHATTY:
            await self.answers.wait()
            if self.failures:
                self.failures -= 1
                raise DatabaseError("It does not answer.")
        return spec_of(server_id)

    def of(self, server_id: int) -> list[str]:
        return [method for server, method, _ in self.notifications if server == server_id]

    def say(self, server_id: int, method: str, params: Message | None = None) -> None:
        self.said.notify(spec_of(server_id), None, method, params or {})


async def _begin(_: LinkStream, first: LinkMessage) -> LinkMessage:
    return first


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    async with contextlib.AsyncExitStack() as stack:
        keys = [HopKey.of(b"key")]
        teller = Hop(lambda: keys, lambda: "m000000000001", connect)
        hearer = Hop(lambda: keys, lambda: "m000000000002", connect)
        for hop in (teller, hearer):
            await stack.enter_async_context(hop.running())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        await stack.enter_async_context(listening(listener, teller.accept))
        said, everywhere, background = UpstreamNotifications(), UpstreamNotifications(), TaskSet()
        stack.push_async_callback(background.aclose)
        heard = Heard(said)
        everywhere.subscribe(lambda spec, _, method, params: heard.notifications.append((spec.id, method, params)))
        everywhere.subscribe_sessions(lambda spec, _, __, opened: heard.sessions.append((spec.id, opened)))
        ServerEvents(teller, heard.read_spec, said, UpstreamNotifications(), background)
        ServerEvents(hearer, heard.read_spec, UpstreamNotifications(), everywhere, background)
        teller.services["begin"] = _begin
        link = await hearer.link(Member("m000000000001", f"127.0.0.1:{listener.getsockname()[1]}"))
        # What is told before the other side has the link as well is told to nobody.
        await link.ask("begin", {})
        yield heard


async def test_a_chatty_server_that_waits_for_the_database_holds_up_no_other(heard: Heard) -> None:
    for number in range(3_000):
        heard.say(CHATTY, MESSAGE, {"data": number})
        if number % 3 == 0:
            heard.say(CHATTY, PROMPTS)
            heard.say(CHATTY, UPDATED, {"uri": f"file:///{number % 2}"})
        if number % 100 == 99:
            # They are not to wait at this side.
            await asyncio.sleep(0.01)
    heard.say(QUIET, PROMPTS)
    await until(lambda: heard.of(QUIET) == [PROMPTS])
    assert heard.of(CHATTY) == []
    heard.answers.set()
    await until(lambda: bool(heard.of(CHATTY)))
    # What is said again and again is told once, and of all else the first thousand.
    assert heard.of(CHATTY).count(PROMPTS) == 1
    assert heard.of(CHATTY).count(UPDATED) == 2
    assert len(heard.of(CHATTY)) == 1_001
    heard.say(CHATTY, PROMPTS)
    await until(lambda: heard.of(CHATTY).count(PROMPTS) == 2)


async def test_what_is_said_while_the_database_does_not_answer_is_told_when_it_does(heard: Heard) -> None:
    heard.failures = 1
    heard.answers.set()
    heard.said.notify_session(spec_of(CHATTY), None, "session", True)
    heard.say(CHATTY, PROMPTS)
    heard.said.notify_session(spec_of(CHATTY), None, "session", False)
    heard.say(CHATTY, PROMPTS)
    await until(lambda: len(heard.notifications) == 2)
    assert heard.of(CHATTY) == [PROMPTS, PROMPTS]
    assert heard.sessions == [(CHATTY, True), (CHATTY, False)]
