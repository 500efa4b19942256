"""The lists that this process may answer in sessions that others hold."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.cluster.links.hop import Hop
from gateway.cluster.member import holder_of
from gateway.cluster.membership import Membership
from gateway.downstream.changes.list_leases import LEASE_SECONDS, LEASED_TENANT, LEASES_SERVICE
from gateway.errors import DatabaseError, LinkFailedError, LinkLostError
from gateway.json_codec import Message
from gateway.task_set import TaskSet

logger = logging.getLogger(__name__)

_RENEW_SECONDS = LEASE_SECONDS / 2

CatchUp: TypeAlias = Callable[[int], Awaitable[None]]
"""Returns when what is kept of a tenant is as new as the database has it. Raises DatabaseError."""

_Key: TypeAlias = "tuple[str, int]"
"""The member that gives a lease, and the tenant whose lists it is on."""


@dataclass(frozen=True, slots=True)
class _Asked:
    number: int
    at: float


class LeasedLists:
    """Keeps a lease from each member in whose sessions lists are asked for here, for as long as they are.

    It counts from when it was asked for: clocks may differ, and an answer be on its way for as long as it likes.
    """

    def __init__(self, hop: Hop, membership: Membership, catch_up: CatchUp) -> None:
        self._hop = hop
        self._membership = membership
        self._catch_up = catch_up
        self._until: dict[_Key, float] = {}
        self._asked: dict[_Key, _Asked] = {}
        self._numbers = itertools.count(1)
        self._tasks = TaskSet()
        hop.subscribe_events(self._hear)
        hop.subscribe_lost(self._on_member_lost)

    def may_answer(self, session_id: str, tenant_id: int) -> bool:
        """Whether the client of a session has been told by its holder of no list of this tenant that may be newer than
        those here; where that is not known, it is soon.
        """
        holder = holder_of(session_id)
        if holder is None:
            return False
        key = (holder, tenant_id)
        left = self._until.get(key, 0.0) - asyncio.get_running_loop().time()
        if left < _RENEW_SECONDS and key not in self._asked and holder in self._membership.others:
            asked = self._asked[key] = _Asked(next(self._numbers), asyncio.get_running_loop().time())
            self._tasks.spawn(self._ask(key, asked))
        return left > 0

    async def aclose(self) -> None:
        """Ask no more."""
        await self._tasks.aclose()

    async def _ask(self, key: _Key, asked: _Asked) -> None:
        if not await self._tell_holder(key, {"asked": asked.number}):
            self._forget(key, asked)

    def _hear(self, holder: str, event: Message) -> None:
        tenant_id = event.get(LEASED_TENANT)
        if tenant_id is None:
            return
        key = (holder, int(tenant_id))
        asked = self._asked.get(key)
        if "ended" in event:
            self._until.pop(key, None)
            # One that was given before this came is not taken any more.
            self._asked.pop(key, None)
            self._tasks.spawn(self._confirm_end(key, event["ended"]))
        elif asked is not None and asked.number == event["asked"]:
            if event["is_given"]:
                self._tasks.spawn(self._accept(key, asked))
            else:
                self._forget(key, asked)

    async def _accept(self, key: _Key, asked: _Asked) -> None:
        try:
            # Of what clients have been told until now.
            await self._catch_up(key[1])
            if self._asked.get(key) is asked:
                self._until[key] = asked.at + LEASE_SECONDS
        except DatabaseError as error:
            logger.info("Lists in sessions of other processes are left to them for the moment: %s", error)
        finally:
            self._forget(key, asked)

    async def _confirm_end(self, key: _Key, number: int) -> None:
        # A holder that is not told waits until the lease would have ended by itself.
        await self._tell_holder(key, {"ended": number})

    async def _tell_holder(self, key: _Key, what: Message) -> bool:
        """Whether the holder has taken it in."""
        holder, tenant_id = key
        try:
            link = await self._hop.link(self._membership.others[holder])
            await link.ask(LEASES_SERVICE, {"tenant": tenant_id, **what})
        except (LinkLostError, LinkFailedError, KeyError):
            return False
        return True

    def _forget(self, key: _Key, asked: _Asked) -> None:
        if self._asked.get(key) is asked:
            del self._asked[key]

    def _on_member_lost(self, member_id: str) -> None:
        for leases in (self._until, self._asked):
            for key in [each for each in leases if each[0] == member_id]:
                del leases[key]
