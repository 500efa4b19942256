"""Which process has the sessions with which upstream server."""

from __future__ import annotations

from gateway.cluster.membership import Membership
from gateway.cluster.store import ClusterStore


class ServerOwners:
    """Each server has one owner, who keeps it for as long as he is there.

    What is known of others is remembered, and corrected by who is asked in vain. Of itself a process knows for certain:
    nobody but it gives up what it owns, unless it was taken for dead, and then it is another member.
    """

    def __init__(self, membership: Membership, store: ClusterStore) -> None:
        self._membership = membership
        self._store = store
        self._owners: dict[tuple[int, int], str] = {}
        self._known_as = membership.id
        membership.subscribe(self._on_change)

    async def owner(self, tenant_id: int, server_id: int) -> str | None:
        """The id of the member that owns a server, from now on if none did; None where none can. Raises DatabaseError.

        A member that is alone owns every server.
        """
        membership = self._membership
        known = self._owners.get((tenant_id, server_id))
        if known is not None:
            return known
        asked_as, leaving = membership.id, membership.is_leaving
        owner = await self._store.claim_server(tenant_id, server_id, membership.id)
        # What changed meanwhile may not be in the answer.
        if owner is not None and (asked_as, leaving) == (membership.id, membership.is_leaving):
            self._owners[tenant_id, server_id] = owner
        return owner

    def owned(self) -> list[int]:
        """The servers that this process owns."""
        return [server_id for (_, server_id), owner in self._owners.items() if owner == self._membership.id]

    def forget(self, tenant_id: int, server_id: int) -> None:
        """What is known of a server does not hold."""
        self._owners.pop((tenant_id, server_id), None)

    def _on_change(self) -> None:
        membership = self._membership
        gone = membership.is_leaving or self._known_as != membership.id
        self._known_as = membership.id
        self._owners = {
            server: owner
            for server, owner in self._owners.items()
            if (owner == membership.id and not gone)
            or (owner in membership.others and not membership.others[owner].leaving)
        }
