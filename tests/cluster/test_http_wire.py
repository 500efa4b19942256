"""Requests and answers as they go over the hop, between members of this version and of the one before."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message

from gateway.cluster.http_wire import WireAnswer, WireBody, response_from_wire
from gateway.cluster.links.link import LinkMessage, LinkStream
from tests.cluster.test_link import linked

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]}
STREAM: Message = {**START, "headers": [(b"content-type", b"text/event-stream")]}
PART: Message = {"type": "http.response.body", "body": b"one", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"two", "more_body": False}


async def answered(takes_whole: bool, *sent: Message) -> list[LinkMessage]:
    """What comes over of an answer, but for the last message."""

    async def answer(stream: LinkStream, first: LinkMessage) -> LinkMessage:
        wire = WireAnswer(stream, takes_whole=takes_whole)
        for message in sent:
            await wire.send(message)
        return LinkMessage({})

    async with linked(answer=answer) as (link, _):
        stream = await link.open("answer", {})
        messages = []
        while not (message := await stream.receive()).is_last:
            messages.append(message)
        return messages


@pytest.mark.parametrize(
    ("takes_whole", "sent", "messages"),
    [
        (True, (START, END), 1),
        (False, (START, END), 2),
        (True, (START, PART, END), 2),
        # It has begun, whenever something is said on it.
        (True, (STREAM, PART, END), 3),
    ],
)
async def test_an_answer_is_the_same_in_however_many_messages(
    takes_whole: bool, sent: tuple[Message, ...], messages: int
) -> None:
    came = await answered(takes_whole, *sent)
    assert len(came) == messages
    assert [part for message in came for part in response_from_wire(message)] == list(sent)


async def test_a_body_that_came_with_its_request_is_followed_by_what_comes_after_it() -> None:
    received: list[Any] = []

    async def take(stream: LinkStream, first: LinkMessage) -> LinkMessage:
        body = WireBody(stream, first.body)
        received.extend([await body.receive(), await body.receive()])
        return LinkMessage({})

    async with linked(take=take) as (link, _):
        stream = await link.open("take", {}, b"all of it")
        await stream.send({"disconnect": True})
        await stream.receive()
    assert received == [
        {"type": "http.request", "body": b"all of it", "more_body": False},
        {"type": "http.disconnect"},
    ]
