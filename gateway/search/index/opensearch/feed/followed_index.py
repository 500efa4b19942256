"""One index that follows the catalogue: some of what changed at a time, and compared with it from time to time."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Mapping

from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import OpenSearchError, OpenSearchIncompleteError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.feed.feed_state import FeedState, read_states
from gateway.search.index.opensearch.feed.reconciler import MAX_MENDED, Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed

logger = logging.getLogger(__name__)

_COMPARE_SECONDS = 60.0
_COMPARE_ALL_SECONDS = 600.0
# All documents of a large tenant are taken out with one request.
_REMOVE_SECONDS = 300.0


class FollowedIndex:
    """An index as this process knows it: how far it is for each tenant, and which of them are to be compared.

    What takes longer ends at a `deadline` of `time.monotonic`, and goes on when it is asked for again. Every method
    raises DatabaseError and OpenSearchError.
    """

    def __init__(
        self, database: Database, client: OpenSearchClient, installation: str, space: StoredSpace, name: str
    ) -> None:
        self._database = database
        self._client = client
        self._installation = installation
        self._name = name
        self._feed = TenantFeed(database, client, installation, space, name)
        self._reconciler = Reconciler(database, client, installation, space, name, self._feed)
        self._states: dict[int, FeedState] = {}
        self._served_at: dict[int, float] = {}
        self._finished: set[int] = set()
        self._to_compare: set[int] = set()
        self._comparing: list[int] = []
        self._mended: set[int] = set()
        self._compared_at = self._all_compared_at = time.monotonic()

    @property
    def written(self) -> int:
        """How many documents were written or taken out."""
        return self._feed.written

    @property
    def refusal(self) -> OpenSearchError | None:
        """Why the index lacks a document that the cluster does not take, None where it takes all."""
        return next(iter(self._feed.refusals.values()), None)

    async def load(self) -> None:
        """Read how far it is."""
        self._states = await read_states(self._client, self._name)

    def is_ahead(self, versions: Mapping[int, int]) -> bool:
        """Whether it has something of a tenant that is newer than these versions of catalogues."""
        return any(state.version > versions.get(tenant_id, state.version) for tenant_id, state in self._states.items())

    def behind(self, versions: Mapping[int, int]) -> list[int]:
        """The tenants whose catalogues have changed, by these versions of them, since they were written."""
        return [tenant_id for tenant_id, version in versions.items() if self._state(tenant_id).version < version]

    async def follow(self, versions: Mapping[int, int], deadline: float) -> None:
        """Write what changed, at least some of it, and take out the tenants that are gone."""
        # Who was served last comes last: of much that changed in one tenant nobody else waits for more than a part.
        waiting = deque(sorted(self.behind(versions), key=lambda tenant_id: self._served_at.get(tenant_id, 0.0)))
        while waiting:
            tenant_id = waiting.popleft()
            state = await self._feed.follow(tenant_id, self._state(tenant_id))
            self._served_at[tenant_id] = time.monotonic()
            if state is None:
                # What was written of it before it went is known to nobody else.
                await self._remove(tenant_id)
            else:
                self._states[tenant_id] = state
                if state.is_under_way:
                    waiting.append(tenant_id)
                else:
                    self._finished.add(tenant_id)
                    self._to_compare.add(tenant_id)
            if time.monotonic() >= deadline:
                break
        for tenant_id in self._states.keys() - versions.keys():
            await self._remove(tenant_id)

    async def compare(self, deadline: float) -> None:
        """Mend what differs: at once where numbers do, as when a server went, and from time to time by checksums."""
        now = time.monotonic()
        if now - self._all_compared_at >= _COMPARE_ALL_SECONDS:
            self._to_compare.update(self._states)
            self._all_compared_at = now
        if self._to_compare and not self._comparing and now - self._compared_at >= _COMPARE_SECONDS:
            self._comparing, self._to_compare = sorted(self._to_compare), set()
        finished, self._finished = self._finished, set()
        if not finished and not self._comparing:
            return
        await self.refresh()
        for tenant_id in finished:
            there, wanted = await self._reconciler.count(tenant_id)
            if there != wanted:
                await self._mend(tenant_id)
        while self._comparing:
            await self._mend(self._comparing.pop())
            self._compared_at = time.monotonic()
            if self._compared_at >= deadline:
                break

    async def mend_all(self, deadline: float) -> bool:
        """Mend what differs of any tenant; whether all of them have been compared since it was begun."""
        await self.refresh()
        for tenant_id in self._states.keys() - self._mended:
            # What is left of many comes with the next look, which nobody waits for before it serves; so does what stays
            # different, however often it is written.
            before = math.inf
            while MAX_MENDED < (different := await self._reconciler.mend(tenant_id)) < before:
                before = different
                await self.refresh()
            self._mended.add(tenant_id)
            if time.monotonic() >= deadline:
                break
        return self._states.keys() <= self._mended

    async def has_most(self) -> bool:
        """Whether it has half of the documents of all tenants, once it is refreshed."""
        answer = await self._client.request(
            "POST", url_path(self._name, "_count"), {"query": {"exists": {"field": "tool"}}}
        )
        wanted: int = await self._database.fetchval("feed_all_documents")
        return 2 * int(answer["count"]) >= wanted

    async def refresh(self) -> None:
        """Make searchable what was written."""
        await self._client.request("POST", url_path(self._name, "_refresh"))

    def _state(self, tenant_id: int) -> FeedState:
        return self._states.get(tenant_id, FeedState())

    async def _mend(self, tenant_id: int) -> None:
        mended = await self._reconciler.mend(tenant_id)
        if mended:
            logger.info("Mended %d documents of tenant %d in %s.", mended, tenant_id, self._name)
            await self.refresh()
        if tenant_id in self._feed.refusals:
            self._to_compare.add(tenant_id)

    async def _remove(self, tenant_id: int) -> None:
        """Nothing is left of a tenant that is gone; how far it was is known for as long as anything is."""
        key = tenant_key(self._installation, tenant_id)
        for field in ("tenant", "feed_tenant"):
            # What is not searchable yet would not be found.
            await self.refresh()
            answer = await self._client.request(
                "POST",
                url_path(self._name, "_delete_by_query"),
                {"query": {"term": {field: key}}},
                params={"routing": str(tenant_id), "conflicts": "proceed", "refresh": "true"},
                seconds=_REMOVE_SECONDS,
            )
            left = len(answer["failures"]) + answer["version_conflicts"]
            if left or answer["timed_out"]:
                raise OpenSearchIncompleteError(
                    f"{left or 'Some'} documents of a tenant that is gone are left in {self._name}",
                    "look at the load of its nodes; they are taken out with the next look",
                )
        for known in (self._states, self._served_at, self._feed.refusals):
            known.pop(tenant_id, None)
