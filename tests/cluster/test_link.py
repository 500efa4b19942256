"""Requests over one link: beside each other, in both directions, and ended by either side."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.cluster.links.channel import connect
from gateway.cluster.links.link import Link, LinkMessage, LinkStream, Service
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message
from tests.cluster.test_signed_channel import End, ends


@contextlib.asynccontextmanager
async def linked(events: list[Message] | None = None, **services: Service) -> AsyncIterator[tuple[Link, Link]]:
    """The link of who asks, and that of who answers."""

    def hear(_: str, event: Message) -> None:
        if events is not None:
            events.append(event)

    near, far = ends()
    asking, answering = Link(near, "there", {}, hear), Link(far, "here", services)
    running = [asyncio.ensure_future(link.run()) for link in (asking, answering)]
    try:
        yield asking, answering
    finally:
        near.close()
        await asyncio.gather(*running)


async def echo(_: LinkStream, first: LinkMessage) -> LinkMessage:
    await asyncio.sleep(first.head["seconds"])
    return LinkMessage({"said": first.head["said"]}, first.body)


async def test_requests_are_answered_each_when_it_is_done() -> None:
    async with linked(echo=echo) as (link, _):
        slow = asyncio.ensure_future(link.ask("echo", {"said": "slow", "seconds": 0.05}, b"1"))
        quick = await link.ask("echo", {"said": "quick", "seconds": 0}, b"2")
        assert (quick.head["said"], quick.body, slow.done()) == ("quick", b"2", False)
        assert ((await slow).head["said"], slow.result().body) == ("slow", b"1")


async def test_a_request_that_breaks_down_harms_no_other() -> None:
    async def break_down(_: LinkStream, __: LinkMessage) -> LinkMessage:
        raise ZeroDivisionError

    async with linked(echo=echo, broken=break_down) as (link, _):
        with pytest.raises(LinkFailedError):
            await link.ask("broken", {})
        assert (await link.ask("echo", {"said": "on", "seconds": 0})).head["said"] == "on"


async def test_who_answers_is_told_that_nobody_waits_any_more() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(_: LinkStream, __: LinkMessage) -> LinkMessage:
        begun.set()
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        finally:
            ended.set()

    async with linked(wait=wait) as (link, _):
        task = asyncio.ensure_future(link.ask("wait", {}))
        await begun.wait()
        task.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_who_is_not_read_from_stops_and_goes_on_when_it_is() -> None:
    sent = 0

    async def flood(stream: LinkStream, _: LinkMessage) -> LinkMessage:
        nonlocal sent
        for number in range(500):
            await stream.send({"number": number})
            sent += 1
        return LinkMessage({})

    async with linked(flood=flood, echo=echo) as (link, _):
        stream = await link.open("flood", {})
        # Others go on meanwhile.
        for _ in range(20):
            await link.ask("echo", {"said": "on", "seconds": 0})
        assert sent == 64
        numbers = [(await stream.receive()).head["number"] for _ in range(500)]
        assert numbers == list(range(500))
        assert (await stream.receive()).is_last


async def test_what_waits_ends_when_the_other_side_is_gone() -> None:
    async with linked(echo=echo) as (link, answering):
        waiting = asyncio.ensure_future(link.ask("echo", {"said": "late", "seconds": 60}))
        await asyncio.sleep(0)
        answering._channel.close()
        with pytest.raises(LinkLostError):
            await waiting
        with pytest.raises(LinkLostError):
            await link.open("echo", {})


async def test_a_link_ends_whose_other_side_takes_nothing_however_much_is_to_be_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = Link(await connect(f"127.0.0.1:{listener.getsockname()[1]}"), "there", {})
        running = asyncio.create_task(link.run())
        asking = asyncio.create_task(link.ask("echo", {}, b" " * 64 * 2**20))
        await asyncio.wait_for(running, 30)
        with pytest.raises(LinkLostError):
            await asking


async def test_a_link_ends_over_which_events_do_not_get_out() -> None:
    class Full(End):
        async def send(self, frame: bytes) -> None:
            await asyncio.get_running_loop().create_future()

    full = Full()
    full.other = full
    link = Link(full, "there", {})
    running = asyncio.create_task(link.run())
    waiting = [asyncio.create_task(link.send_event({})) for _ in range(10_001)]
    await asyncio.wait_for(running, 30)
    with pytest.raises(LinkLostError):
        await waiting[-1]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_event_is_heard_before_the_answer_that_follows_it() -> None:
    events: list[Message] = []
    links: list[Link] = []

    async def tell(_: LinkStream, __: LinkMessage) -> LinkMessage:
        await links[1].send_event({"happened": True})
        return LinkMessage({"heard": len(events)})

    async with linked(events, tell=tell) as both:
        links += both
        await both[0].ask("tell", {})
        assert events == [{"happened": True}]


async def test_what_cannot_be_read_ends_the_link() -> None:
    async with linked(echo=echo) as (link, answering):
        await link._channel.send(b"\x00nonsense")
        with pytest.raises(LinkLostError):
            await link.ask("echo", {"said": "too late", "seconds": 1})
        assert answering.is_lost
