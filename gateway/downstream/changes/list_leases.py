"""Leases on the lists of a tenant: the holder of sessions gives them, and ends them before it tells of a change."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import anyio

from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream

LEASES_SERVICE = "list-lease"
"""The service of the hop at which a member asks for a lease, and says that one has ended."""

LEASED_TENANT = "leased_tenant"
"""What events about a lease have, the tenant whose lists it is on, beside `asked` and `is_given`, or `ended`."""

LEASE_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _GivenLease:
    number: int
    until: float
    is_ending: bool = False
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)


class ListLeases:
    """While a member has a lease it answers lists of a tenant in sessions that are held here, for their clients have
    been told of no change since it was given.

    A lease ends at the latest a second after the member asked for it. So a member that hangs, or is out of reach, keeps
    a change from clients for no longer, and has no lease when it goes on.
    """

    def __init__(self, hop: Hop | None = None) -> None:
        """Without `hop` there are no other members."""
        self._hop = hop
        self._given: dict[int, dict[str, _GivenLease]] = {}
        self._numbers = itertools.count(1)
        if hop is not None:
            hop.services[LEASES_SERVICE] = self._serve

    async def end(self, tenant_id: int) -> None:
        """Returns when no member has one of the leases on the lists of a tenant that there are now."""
        given = self._given.get(tenant_id, {})
        await asyncio.gather(*(self._end(tenant_id, member_id, lease) for member_id, lease in given.items()))

    async def _end(self, tenant_id: int, member_id: str, lease: _GivenLease) -> None:
        if not lease.is_ending and self._hop is not None:
            lease.is_ending = True
            self._hop.send_event(member_id, {LEASED_TENANT: tenant_id, "ended": lease.number})
        with anyio.move_on_after(lease.until - asyncio.get_running_loop().time()):
            await lease.has_ended.wait()
        self._forget(tenant_id, member_id, lease)

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        tenant_id = int(first.head["tenant"])
        lease = self._given.get(tenant_id, {}).get(stream.peer)
        if "ended" in first.head:
            if lease is not None and lease.number == first.head["ended"]:
                lease.has_ended.set()
                self._forget(tenant_id, stream.peer, lease)
            return LinkMessage({})
        event = {LEASED_TENANT: tenant_id, "asked": first.head["asked"]}
        is_given = self._give(tenant_id, stream.peer, lease)
        if self._hop is not None:
            # Not as the answer, which may be taken before the events that were sent ahead of it.
            self._hop.send_event(stream.peer, {**event, "is_given": is_given})
        return LinkMessage({})

    def _give(self, tenant_id: int, member_id: str, lease: _GivenLease | None) -> bool:
        now = asyncio.get_running_loop().time()
        if lease is None or lease.until <= now:
            lease = _GivenLease(next(self._numbers), now)
            given = self._given.get(tenant_id, {})
            running = {each: other for each, other in given.items() if other.until > now}
            self._given[tenant_id] = {**running, member_id: lease}
        elif lease.is_ending:
            # How long clients wait for what they are told must not depend on how often it is asked for.
            return False
        lease.until = now + LEASE_SECONDS
        return True

    def _forget(self, tenant_id: int, member_id: str, lease: _GivenLease) -> None:
        given = self._given.get(tenant_id, {})
        if given.get(member_id) is lease:
            del given[member_id]
        if not given:
            self._given.pop(tenant_id, None)
