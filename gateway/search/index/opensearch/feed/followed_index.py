"""One index that follows the catalogue: some of what changed at a time, and compared with it from time to time."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from gateway.backoff import Backoff
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import OpenSearchError, OpenSearchIncompleteError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.feed.feed_state import FeedState, read_state, read_states, refresh
from gateway.search.index.opensearch.feed.reconciler import MAX_MENDED, Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed

logger = logging.getLogger(__name__)

_COMPARE_SECONDS = 60.0
_COMPARE_ALL_SECONDS = 600.0
# All documents of a large tenant are taken out with one request.
_REMOVE_SECONDS = 300.0
# A tenant whose shard is not there is tried again after a while, and so are the states of all tenants.
_BACKOFF = Backoff(5.0, 60.0)
_LOAD_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Stall:
    """Why a tenant cannot be written, after so many tries, and until when it is left alone (`time.monotonic`)."""

    error: OpenSearchError
    failures: int
    until: float


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
        self._load_at: float | None = 0.0
        self._stalls: dict[int, _Stall] = {}
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
        """Why the index lacks a document that the cluster does not take, or a tenant; None where it takes all."""
        refusals = [*self._feed.refusals.values(), *(stall.error for stall in self._stalls.values())]
        return next(iter(refusals), None)

    @property
    def stalled(self) -> Collection[int]:
        """The tenants whose shard is not there: they are tried again later, and hold up no other."""
        return self._stalls.keys()

    async def load(self) -> None:
        """Read how far it is. Where a shard is not there, that is read tenant by tenant as they are written."""
        now = time.monotonic()
        if self._load_at is None or now < self._load_at:
            return
        try:
            self._states = await read_states(self._client, self._name)
            self._load_at = None
        except OpenSearchIncompleteError:
            self._load_at = now + _LOAD_SECONDS

    def is_ahead(self, versions: Mapping[int, int]) -> bool:
        """Whether it has something of a tenant that is newer than these versions of catalogues."""
        return any(state.version > versions.get(tenant_id, state.version) for tenant_id, state in self._states.items())

    def behind(self, versions: Mapping[int, int]) -> list[int]:
        """The tenants whose catalogues have changed, by these versions of them, since they were written."""
        return [tenant_id for tenant_id, version in versions.items() if self._state(tenant_id).version < version]

    async def follow(self, versions: Mapping[int, int], deadline: float) -> None:
        """Write what changed, at least some of it, and take out the tenants that are gone."""
        await self.load()
        now = time.monotonic()
        due = [tenant_id for tenant_id in self.behind(versions) if not self._is_left_alone(tenant_id, now)]
        # Who was served last comes last: of much that changed in one tenant nobody else waits for more than a part, and
        # for one whose shard is not there nobody waits.
        waiting = deque(sorted(due, key=lambda each: (each in self._stalls, self._served_at.get(each, 0.0))))
        while waiting:
            tenant_id = waiting.popleft()
            with self._stalling(tenant_id):
                if await self._follow_some(tenant_id, versions[tenant_id]):
                    waiting.append(tenant_id)
            self._served_at[tenant_id] = time.monotonic()
            if time.monotonic() >= deadline:
                break
        for tenant_id in self._states.keys() - versions.keys():
            if not self._is_left_alone(tenant_id, now):
                with self._stalling(tenant_id):
                    await self._remove(tenant_id)
        for tenant_id in self._stalls.keys() - versions.keys() - self._states.keys():
            del self._stalls[tenant_id]

    async def _follow_some(self, tenant_id: int, version: int) -> bool:
        """Write some of what changed in a tenant; whether there is more."""
        if self._load_at is not None and tenant_id not in self._states:
            self._states[tenant_id] = await read_state(self._client, self._name, tenant_id)
            if self._states[tenant_id].version >= version:
                return False
        state = await self._feed.follow(tenant_id, self._state(tenant_id))
        if state is None:
            # What was written of it before it went is known to nobody else.
            await self._remove(tenant_id)
            return False
        self._states[tenant_id] = state
        if state.is_under_way:
            return True
        self._finished.add(tenant_id)
        self._to_compare.add(tenant_id)
        return False

    def _is_left_alone(self, tenant_id: int, now: float) -> bool:
        stall = self._stalls.get(tenant_id)
        return stall is not None and now < stall.until

    @contextlib.contextmanager
    def _stalling(self, tenant_id: int) -> Iterator[None]:
        """A shard that is not there inside keeps this tenant waiting, and no other."""
        try:
            yield
        except OpenSearchIncompleteError as error:
            before = self._stalls.get(tenant_id)
            failures = 1 if before is None else before.failures + 1
            self._stalls[tenant_id] = _Stall(error, failures, time.monotonic() + _BACKOFF.delay(failures))
        else:
            self._stalls.pop(tenant_id, None)

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
        try:
            await self.refresh()
        except OpenSearchIncompleteError:
            # They are compared once all shards are there.
            return
        for tenant_id in finished:
            with self._stalling(tenant_id):
                there, wanted = await self._reconciler.count(tenant_id)
                if there != wanted:
                    await self._mend(tenant_id)
        while self._comparing:
            tenant_id = self._comparing.pop()
            # Until it is found to be as it should.
            self._to_compare.add(tenant_id)
            with self._stalling(tenant_id):
                await self._mend(tenant_id)
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
        await refresh(self._client, self._name)

    def _state(self, tenant_id: int) -> FeedState:
        return self._states.get(tenant_id, FeedState())

    async def _mend(self, tenant_id: int) -> None:
        mended = await self._reconciler.mend(tenant_id)
        if mended:
            logger.info("Mended %d documents of tenant %d in %s.", mended, tenant_id, self._name)
            await self.refresh()
        if tenant_id not in self._feed.refusals:
            self._to_compare.discard(tenant_id)

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
        for known in (self._states, self._served_at, self._feed.refusals, self._stalls):
            known.pop(tenant_id, None)
