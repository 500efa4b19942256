"""The sessions of one server: one that all callers share, or one for each client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import anyio

from gateway.errors import UpstreamBusyError, UpstreamUnavailableError
from gateway.upstream.sessions.session_slot import SessionSlot
from gateway.upstream.transports.child_process import MAX_STDERR_BYTES

SlotFactory = Callable[["str | None", Callable[[], None]], SessionSlot]
"""Builds the slot of a session key; the callable is to be called whenever a session or an attempt has ended."""


_SEPARATOR = "\n"


def session_key(person: str, client: str | None) -> str:
    """The key of the session of a person, in one client's session where each client has its own."""
    return person if client is None else f"{person}{_SEPARATOR}{client}"


class SessionPool:
    """Slots by session key. Those of single clients are dropped once their session has ended and nobody uses it."""

    def __init__(self, server: str, max_clients: int, create_slot: SlotFactory) -> None:
        """At most `max_clients` have a slot of their own: a further one takes the place of the longest idle, where
        there is one that is not in use.
        """
        self._server = server
        self._max_clients = max_clients
        self._create_slot = create_slot
        self._slots: dict[str | None, SessionSlot] = {}
        self._closed = False
        self._past_restarts = 0
        self._past_stderr = ""

    def __iter__(self) -> Iterator[SessionSlot]:
        return iter(list(self._slots.values()))

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def restarts(self) -> int:
        """Connections after the first of each slot."""
        return self._past_restarts + sum(max(0, slot.connections - 1) for slot in self)

    @property
    def stderr(self) -> str:
        """The end of what the servers wrote to their standard error output; of slots that are gone, the last error."""
        written = "".join(slot.current.stderr for slot in self if slot.current is not None)
        return (written or self._past_stderr)[-MAX_STDERR_BYTES:]

    def acquire(self, key: str | None) -> SessionSlot:
        """The slot of `key`, to be released. Raises UpstreamBusyError where all places are taken by calls in flight and
        subscriptions, UpstreamUnavailableError after the end.
        """
        if self._closed:
            raise UpstreamUnavailableError(self._server, f"Server {self._server} was changed or removed; try again.")
        slot = self._slots.get(key)
        if slot is None:
            if key is not None:
                self._make_room()
            slot = self._create_slot(key, lambda: self._drop_if_unused(key))
            self._slots[key] = slot
        slot.users += 1
        return slot

    def release(self, key: str | None, slot: SessionSlot) -> None:
        """Whoever acquired the slot is done with it."""
        slot.users -= 1
        if key is not None:
            slot.last_used = time.monotonic()
            self._drop_if_unused(key)

    def drain(self) -> None:
        """Let calls in flight finish, then end all sessions."""
        self._closed = True
        for slot in self:
            slot.drain()

    async def close(self) -> None:
        """End all sessions now."""
        self._closed = True
        async with anyio.create_task_group() as tasks:
            for slot in self:
                tasks.start_soon(slot.close)

    async def close_session(self, key: str) -> None:
        """End the sessions of `key`, a client or a person."""
        ending = [each for each in self._slots if each is not None and key in each.split(_SEPARATOR)]
        slots = [self._slots[each] for each in ending]
        for each, slot in zip(ending, slots, strict=True):
            self._drop(each, slot)
        async with anyio.create_task_group() as tasks:
            for slot in slots:
                tasks.start_soon(slot.close)

    @property
    def persons(self) -> set[str]:
        """The persons who have sessions of their own, as their credentials name these."""
        return {person for slot in self._slots.values() if (person := slot.person) is not None}

    def _make_room(self) -> None:
        of_clients = [(key, slot) for key, slot in self._slots.items() if key is not None]
        if len(of_clients) < self._max_clients:
            return
        unused = [(key, slot) for key, slot in of_clients if not slot.in_use]
        if not unused:
            raise UpstreamBusyError(
                self._server,
                f"Server {self._server} is busy with {self._max_clients} clients, each in a session of its own, as "
                "many as it may have; try again later.",
            )
        key, slot = min(unused, key=lambda pair: pair[1].last_used)
        self._drop(key, slot)
        slot.drain()

    def _drop_if_unused(self, key: str | None) -> None:
        """Drop the slot of a single client that has nothing to it any more."""
        slot = self._slots.get(key)
        if key is not None and slot is not None and not slot.users and slot.is_empty:
            self._drop(key, slot)

    def _drop(self, key: str, slot: SessionSlot) -> None:
        del self._slots[key]
        self._past_restarts += max(0, slot.connections - 1)
        if slot.current is not None and slot.current.error is not None:
            self._past_stderr = slot.current.stderr
