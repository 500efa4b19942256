"""Keeps the cluster's indexes what the catalogue is: fills, follows, compares, and puts one in another's place."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from gateway.backoff import Backoff
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import SpaceRecord, SpaceStore, StoredSpace
from gateway.errors import ModelGateError, OpenSearchError, OpenSearchMappingError, OpenSearchUnavailableError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.feed.feed_state import FeedState, read_states
from gateway.search.index.opensearch.feed.reconciler import MAX_MENDED, Reconciler
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed
from gateway.search.index.opensearch.index_store import ClusterIndex, IndexStore, begun_index, serving_index
from gateway.search.index.opensearch.mapping import serving_alias

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# What changes without a pause is written together: each time the cluster makes searchable what was written.
_PACE_SECONDS = 0.5
_BACKOFF = Backoff(1.0, 5.0)
_COMPARE_SECONDS = 60.0
_COMPARE_ALL_SECONDS = 600.0
_OF_A_DOCUMENT = (OpenSearchError, OpenSearchMappingError)


@dataclass(slots=True)
class _Followed:
    """An index as this process knows it: how far it is for each tenant, and which of them are to be compared."""

    feed: TenantFeed
    reconciler: Reconciler
    states: dict[int, FeedState]
    to_compare: set[int] = field(default_factory=set)
    compared_at: float = field(default_factory=time.monotonic)
    all_compared_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class FeedProgress:
    """How far the cluster is behind the catalogue: `tenants` that are, and for how many seconds at the longest.

    `failure` is why it does not go on, empty where it does; `written` counts what was written since this process began.
    """

    tenants: int = 0
    seconds: float = 0.0
    failure: str = ""
    written: int = 0


class IndexFeed:
    """One process of those that serve a database runs it. Another one that does so for a moment does no harm."""

    def __init__(
        self,
        database: Database,
        spaces: SpaceStore,
        client: OpenSearchClient,
        installation: str,
        notices: Notices | None = None,
    ) -> None:
        self._database = database
        self._spaces = spaces
        self._client = client
        self._installation = installation
        self.store = IndexStore(database, client, installation)
        self._followed: dict[str, _Followed] = {}
        self._changed = asyncio.Event()
        self._behind_since: dict[tuple[str, int], float] = {}
        self._failure = ""
        if notices is not None:
            notices.subscribe(self._on_notice)

    @property
    def progress(self) -> FeedProgress:
        """Of this process; where another one leads, nothing is known here."""
        now = time.monotonic()
        tenants = {tenant_id for _, tenant_id in self._behind_since}
        seconds = max((now - since for since in self._behind_since.values()), default=0.0)
        written = sum(followed.feed.written for followed in self._followed.values())
        return FeedProgress(len(tenants), seconds, self._failure, written)

    async def run(self) -> None:
        """Until cancelled; a cluster or database that is down is tried again after a while."""
        failures = 0
        while True:
            self._changed.clear()
            started = time.monotonic()
            try:
                await self._try_to_catch_up()
                if self._failure:
                    logger.info("The search cluster is followed again.")
                failures, self._failure = 0, ""
            except ModelGateError as error:
                failures += 1
                self.forget()
                if error.message != self._failure:
                    logger.warning("The search cluster does not follow the catalogue: %s", error.message)
                self._failure = error.message
                await asyncio.sleep(_BACKOFF.delay(failures))
                continue
            with anyio.move_on_after(_LOOK_SECONDS):
                await self._changed.wait()
            await asyncio.sleep(max(0.0, started + _PACE_SECONDS - time.monotonic()))

    async def _try_to_catch_up(self) -> None:
        try:
            await self.catch_up()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # What answers by now may be another server: that must not end what follows the catalogue.
            raise OpenSearchUnavailableError(
                f"The search cluster answered with what is no answer of OpenSearch's ({type(error).__name__})",
                "see whether opensearch.urls leads to it",
            ) from error

    async def catch_up(self) -> None:
        """Bring every index up to the catalogue as it is now. Raises DatabaseError and OpenSearchError."""
        if not self._client.is_verified:
            await self._client.verify()
        records = await self._spaces.records()
        wanted = [record for record in records if _is_wanted(record)]
        failure: OpenSearchError | None = None
        indexes = await self.store.indexes()
        there = {index.name for index in indexes}
        self._followed = {name: followed for name, followed in self._followed.items() if name in there}
        for record in wanted:
            try:
                await self._keep(record.stored, indexes)
            except OpenSearchError as error:
                # Another space may still be followed.
                failure = failure or error
        active = next((record.stored for record in records if record.active), None)
        if active is not None:
            serving = serving_index(indexes, active.id)
            if serving is None or serving_alias(self._client.settings) not in serving.aliases:
                await self.store.serve(active.id)
        # Those of spaces that are not to have one any more.
        for index in indexes:
            if index.owner.space_id not in {record.stored.id for record in wanted}:
                await self._forget(index.name)
        if failure is not None:
            raise failure

    def forget(self) -> None:
        """After a failure: what this process knows of an index may be about another one by now."""
        self._followed.clear()

    async def rebuild(self, space: StoredSpace) -> None:
        """Begin a new index beside the one that serves; it is filled, and takes that one's place, by whoever leads."""
        await self.store.begin(space, beside_serving=True)
        self._changed.set()

    async def _keep(self, space: StoredSpace, indexes: Sequence[ClusterIndex]) -> None:
        """Follow with the index that serves, and fill the one that is to, where there is one or none serves."""
        serving, begun = serving_index(indexes, space.id), begun_index(indexes, space.id)
        if serving is not None and not await self._follow(serving, space):
            serving = None
        if serving is not None and begun is None:
            return
        building = begun or await self.store.begin(space)
        if not await self._follow(building, space):
            return
        followed = self._followed[building.name]
        await self._refresh(building)
        for tenant_id in followed.states:
            # What is left of many comes with the next look, which nobody waits for before it serves; so does what stays
            # different, however often it is written.
            before = math.inf
            while MAX_MENDED < (different := await followed.reconciler.mend(tenant_id)) < before:
                before = different
                await self._refresh(building)
        await self.store.publish(building)
        logger.info("Searches in space %d go to index %s.", space.id, building.name)

    async def _follow(self, index: ClusterIndex, space: StoredSpace) -> bool:
        """Bring an index up to the catalogue; False where it was ahead of it, and is gone."""
        followed = self._followed.get(index.name)
        if followed is None:
            feed = TenantFeed(self._database, self._client, self._installation, space, index.name)
            reconciler = Reconciler(self._database, self._client, self._installation, space, index.name, feed)
            states = await read_states(self._client, index.name)
            followed = self._followed[index.name] = _Followed(feed, reconciler, states)
        versions = {row["id"]: row["catalogue_version"] for row in await self._database.fetch("feed_tenants")}
        if any(state.version > versions.get(tenant_id, state.version) for tenant_id, state in followed.states.items()):
            # The database was restored from a backup: what is newer here would never be written over.
            logger.warning("Index %s is ahead of the database, and is built anew.", index.name)
            await self._forget(index.name)
            return False
        changed = [
            tenant_id
            for tenant_id, version in versions.items()
            if followed.states.get(tenant_id, FeedState()).version != version
        ]
        for tenant_id in changed:
            self._behind_since.setdefault((index.name, tenant_id), time.monotonic())
        refusal: OpenSearchError | None = None
        for tenant_id in changed:
            try:
                state = await followed.feed.follow(tenant_id, followed.states.get(tenant_id, FeedState()))
            except OpenSearchError as error:
                if type(error) not in _OF_A_DOCUMENT:
                    raise
                # Other tenants' are written all the same.
                refusal = refusal or error
                continue
            if state is not None:
                followed.states[tenant_id] = state
                followed.to_compare.add(tenant_id)
            self._behind_since.pop((index.name, tenant_id), None)
        for tenant_id in followed.states.keys() - versions.keys():
            await self._remove_tenant(index.name, tenant_id)
            del followed.states[tenant_id]
        if refusal is not None:
            raise refusal
        if index.is_serving:
            await self._compare(index, followed, changed)
        return True

    async def _compare(self, index: ClusterIndex, followed: _Followed, changed: Sequence[int]) -> None:
        """Mend what differs: at once where numbers do, as when a server went, and from time to time by checksums."""
        now = time.monotonic()
        is_time = now - followed.compared_at >= _COMPARE_SECONDS
        if now - followed.all_compared_at >= _COMPARE_ALL_SECONDS:
            followed.to_compare.update(followed.states)
            followed.all_compared_at = now
        tenant_ids = set(followed.to_compare) if is_time else set(changed)
        if not tenant_ids:
            return
        await self._refresh(index)
        for tenant_id in tenant_ids:
            if not is_time:
                there, wanted = await followed.reconciler.count(tenant_id)
                if there == wanted:
                    continue
            mended = await followed.reconciler.mend(tenant_id)
            if mended:
                logger.info("Mended %d documents of tenant %d in %s.", mended, tenant_id, index.name)
                await self._refresh(index)
            followed.to_compare.discard(tenant_id)
        if is_time:
            followed.compared_at = now

    async def _refresh(self, index: ClusterIndex) -> None:
        await self._client.request("POST", url_path(index.name, "_refresh"))

    async def _remove_tenant(self, index: str, tenant_id: int) -> None:
        """Nothing is left of a tenant that is gone."""
        key = tenant_key(self._installation, tenant_id)
        either = [{"term": {"tenant": key}}, {"term": {"feed_tenant": key}}]
        await self._client.request(
            "POST",
            url_path(index, "_delete_by_query"),
            {"query": {"bool": {"should": either}}},
            params={"routing": str(tenant_id), "conflicts": "proceed", "refresh": "true"},
        )

    async def _forget(self, name: str) -> None:
        self._followed.pop(name, None)
        await self.store.drop(name)

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue or notice.space_id is not None:
            self._changed.set()


def _is_wanted(record: SpaceRecord) -> bool:
    """Whether searches are answered in a space, or are to be."""
    return record.active or (not record.is_gone and (record.retired_at is None or bool(record.languages)))
