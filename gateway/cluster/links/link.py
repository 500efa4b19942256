"""Many requests at the same time over one signed channel, each a stream of messages in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from gateway.cluster.links.channel import Channel
from gateway.errors import LinkFailedError, LinkLostError
from gateway.json_codec import Message, decode, encode
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

_OPEN, _DATA, _END, _FAILED, _CANCEL, _CREDIT, _PING, _EVENT = range(8)
_HEADER = struct.Struct("!BII")
# So many messages of a stream may be on their way before the other side has taken one.
_WINDOW = 64
# Of more events that wait to be sent, the link is given up: it is known then that some were missed.
_MAX_EVENTS = 10_000
_PING_SECONDS = 1.0
_SILENT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """One message of a stream; the last one ends it."""

    head: Message
    body: bytes = b""
    is_last: bool = False


Service: TypeAlias = "Callable[[LinkStream, LinkMessage], Awaitable[LinkMessage]]"
"""Serves one request: given its stream and first message, it returns the last one. It is cancelled when the other side
gives up, or is gone.
"""

OnEvent: TypeAlias = Callable[[str, Message], None]
"""Takes an event of the member with that id; must return at once, for everything else on the link comes after it."""


class LinkStream:
    """One request, as either side sees it."""

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number
        self._incoming: deque[LinkMessage] = deque()
        self._changed = asyncio.Event()
        self._error: LinkLostError | LinkFailedError | None = None
        self._credit = _WINDOW
        self._has_credit = asyncio.Event()
        self._taken = 0

    @property
    def peer(self) -> str:
        """The id of the member on the other side."""
        return self._link.peer

    async def send(self, head: Message, body: bytes = b"") -> None:
        """Send a message; waits while the other side takes none. Raises LinkLostError and LinkFailedError."""
        while not self._credit:
            self._raise_error()
            self._has_credit.clear()
            await self._has_credit.wait()
        self._raise_error()
        self._credit -= 1
        await self._link.send(_DATA, self._number, head, body)

    async def receive(self) -> LinkMessage:
        """The next message. Raises LinkLostError, and LinkFailedError where the other side has failed."""
        while not self._incoming:
            self._raise_error()
            self._changed.clear()
            await self._changed.wait()
        message = self._incoming.popleft()
        self._taken += 1
        if self._taken == _WINDOW // 2 and not message.is_last:
            credit, self._taken = self._taken, 0
            await self._link.send(_CREDIT, self._number, {"messages": credit})
        return message

    def close(self) -> None:
        """Give the request up; the other side is told, where it has not ended it."""
        self._link.forget(self._number)

    def deliver(self, message: LinkMessage) -> None:
        """The other side has sent a message."""
        self._incoming.append(message)
        self._changed.set()

    def add_credit(self, messages: int) -> None:
        """The other side has taken so many messages."""
        self._credit += messages
        self._has_credit.set()

    def fail(self, error: LinkLostError | LinkFailedError) -> None:
        """Nothing more will come."""
        self._error = error
        self._changed.set()
        self._has_credit.set()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)


class Link:
    """Requests of this member to `peer`, or of `peer` to this one, which `services` answer by name. Who answers also
    tells of events, which `on_event` hears, before the answers that it gives after them.
    """

    def __init__(
        self, channel: Channel, peer: str, services: Mapping[str, Service], on_event: OnEvent | None = None
    ) -> None:
        self.peer = peer
        self.is_lost = False
        self._channel = channel
        self._services = services
        self._streams: dict[int, LinkStream] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._tasks = TaskSet()
        self._on_event = on_event
        self._unsent_events = 0
        self._last_number = 0
        self._heard_at = 0.0

    async def open(self, service: str, head: Message, body: bytes = b"") -> LinkStream:
        """Begin a request. Raises LinkLostError, and then it has not begun."""
        if self.is_lost:
            raise LinkLostError()
        self._last_number += 1
        stream = self._streams[self._last_number] = LinkStream(self, self._last_number)
        try:
            await self.send(_OPEN, self._last_number, {**head, "service": service}, body)
        except BaseException:
            stream.close()
            raise
        return stream

    async def ask(self, service: str, head: Message, body: bytes = b"") -> LinkMessage:
        """A request with one answer. Raises LinkLostError and LinkFailedError; then it may have been carried out."""
        stream = await self.open(service, head, body)
        try:
            return await stream.receive()
        finally:
            stream.close()

    async def send_event(self, event: Message) -> None:
        """Tell of an event. Raises LinkLostError."""
        if self._unsent_events == _MAX_EVENTS:
            self._channel.close()
            raise LinkLostError()
        self._unsent_events += 1
        try:
            await self.send(_EVENT, 0, event)
        finally:
            self._unsent_events -= 1

    async def send(self, kind: int, number: int, head: Message, body: bytes = b"") -> None:
        """Send one frame. Raises LinkLostError."""
        text = encode(head)
        await self._channel.send(_HEADER.pack(kind, number, len(text)) + text + body)

    def close(self) -> None:
        """End it, for both sides."""
        self._channel.close()

    def forget(self, number: int) -> None:
        """Nobody waits for this request any more."""
        if self._streams.pop(number, None) is not None and not self.is_lost:
            self._tasks.spawn(self._cancel(number))

    async def run(self) -> None:
        """Take in what the other side sends, until it is gone or says nothing for 3 s."""
        self._heard_at = asyncio.get_running_loop().time()
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                frame = await self._channel.receive()
                self._heard_at = asyncio.get_running_loop().time()
                self._on_frame(frame)
        except LinkLostError:
            pass
        except (ValueError, KeyError, TypeError, struct.error):
            logger.warning("A link with %s was ended, for what came over it cannot be read.", self.peer)
        finally:
            self.is_lost = True
            self._channel.close()
            watching.cancel()
            for stream in self._streams.values():
                stream.fail(LinkLostError())
            self._streams.clear()
            for task in list(self._serving.values()):
                task.cancel()
            await asyncio.gather(watching, *self._serving.values(), return_exceptions=True)
            await self._tasks.aclose()

    def _on_frame(self, frame: bytes) -> None:
        kind, number, length = _HEADER.unpack_from(frame)
        text_end = _HEADER.size + length
        head = decode(frame[_HEADER.size : text_end])
        message = LinkMessage(head, frame[text_end:], is_last=kind == _END)
        if kind == _OPEN:
            stream = self._streams[number] = LinkStream(self, number)
            task = self._serving[number] = asyncio.create_task(self._serve(stream, number, message))
            task.add_done_callback(lambda _: self._serving.pop(number, None))
            return
        if kind == _EVENT:
            self._hear(head)
        elif kind == _CANCEL and number in self._serving:
            self._serving[number].cancel()
        open_stream = self._streams.get(number)
        if open_stream is None:
            return
        if kind in (_DATA, _END):
            open_stream.deliver(message)
            if kind == _END:
                # Whoever reads it knows it; to close it takes no word to the other side any more.
                del self._streams[number]
        elif kind == _FAILED:
            del self._streams[number]
            open_stream.fail(LinkFailedError())
        elif kind == _CREDIT:
            open_stream.add_credit(int(head["messages"]))

    async def _serve(self, stream: LinkStream, number: int, message: LinkMessage) -> None:
        try:
            last = await self._services[str(message.head["service"])](stream, message)
            await self.send(_END, number, last.head, last.body)
        except LinkLostError:
            pass
        except Exception:
            logger.exception("A request of member %s broke down", self.peer)
            with contextlib.suppress(LinkLostError):
                await self.send(_FAILED, number, {})
        finally:
            self._streams.pop(number, None)

    def _hear(self, event: Message) -> None:
        try:
            if self._on_event is not None:
                self._on_event(self.peer, event)
        except Exception:
            logger.exception("An event of member %s could not be heard", self.peer)

    async def _cancel(self, number: int) -> None:
        with contextlib.suppress(LinkLostError):
            await self.send(_CANCEL, number, {})

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            slept_from = loop.time()
            await asyncio.sleep(_PING_SECONDS)
            if loop.time() - slept_from > 3 * _PING_SECONDS:
                # It is this process that was held up: what came meanwhile is read first.
                self._heard_at = loop.time()
            if loop.time() - self._heard_at > _SILENT_SECONDS:
                self._channel.close()
                return
            # To one that reads nothing, nothing can be sent: that must not keep this from noticing.
            with contextlib.suppress(LinkLostError), anyio.move_on_after(_PING_SECONDS):
                await self.send(_PING, 0, {})
