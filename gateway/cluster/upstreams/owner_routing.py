"""The way to the member that owns a server, also while owners come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.cluster.cluster import Cluster
from gateway.cluster.links.link import Link
from gateway.cluster.member import Member
from gateway.errors import DatabaseError, LinkFailedError, LinkLostError, NotOwnerError, UpstreamUnavailableError
from gateway.upstream.spec import ServerSpec

T = TypeVar("T")

_MAX_OWNERS_ASKED = 5


class OwnerRouting:
    """Does what is for a server where its owner is."""

    def __init__(self, cluster: Cluster, on_owned: Callable[[int], None]) -> None:
        """`on_owned` hears of each server that turns out to be this member's own, before anything is done with it."""
        self._hop = cluster.hop
        self._membership = cluster.membership
        self._owners = cluster.owners
        self._on_owned = on_owned

    async def run(
        self,
        spec: ServerSpec,
        here: Callable[[], Awaitable[T]],
        there: Callable[[Link], Awaitable[T]],
        *,
        harmless: bool = False,
    ) -> T:
        """`here` where this member is the owner, else `there`, over the link to the owner. What the owner has certainly
        not begun, as `there` says with NotOwnerError, goes to the next one; so does all that is `harmless`.

        Raises UpstreamUnavailableError where there is no owner to be reached, or it ended in the midst of it.
        """
        for _ in range(_MAX_OWNERS_ASKED):
            member = await self._owner(spec)
            if member is None:
                self._on_owned(spec.id)
                return await here()
            try:
                link = await self._hop.link(member)
            except LinkLostError:
                self._owners.forget(spec.tenant_id, spec.id)
                if await self._membership.check_gone(member.id):
                    continue
                raise _unreachable(spec) from None
            try:
                return await there(link)
            except NotOwnerError:
                self._owners.forget(spec.tenant_id, spec.id)
            except (LinkLostError, LinkFailedError) as error:
                self._owners.forget(spec.tenant_id, spec.id)
                if isinstance(error, LinkFailedError) or not harmless:
                    raise _interrupted(spec) from None
                await self._membership.check_gone(member.id)
        raise _unreachable(spec)

    async def _owner(self, spec: ServerSpec) -> Member | None:
        """The other member that owns the server; None where it is this one."""
        try:
            owner = await self._owners.owner(spec.tenant_id, spec.id)
        except DatabaseError as error:
            # Even one that is alone must not begin what it may not be the owner of when the database is back.
            raise UpstreamUnavailableError(spec.name, error.message) from error
        if owner is None and self._membership.is_rejoining:
            # Without a member there is no owner, but this process is none either.
            raise _unreachable(spec)
        if owner is None or owner == self._membership.id:
            return None
        # One that is not known yet has come just now; one that never was is gone, and claimed anew.
        return await self._membership.find(owner) or Member(owner, "")


def _unreachable(spec: ServerSpec) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        spec.name,
        f"The gateway process that runs server {spec.name} cannot be reached just now; try again in a moment.",
    )


def _interrupted(spec: ServerSpec) -> UpstreamUnavailableError:
    return UpstreamUnavailableError(
        spec.name,
        f"The gateway process that runs server {spec.name} ended in the midst of the call; what was asked for may have "
        "been done, so look before you try again.",
    )
