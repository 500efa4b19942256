"""Keeps the cluster's indexes what the catalogue is: fills, follows, compares, and puts one in another's place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import anyio

from gateway.backoff import Backoff
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import ModelGateError, OpenSearchError
from gateway.search.index.opensearch.client import OpenSearchClient
from gateway.search.index.opensearch.failures import reading_answers
from gateway.search.index.opensearch.feed.followed_index import FollowedIndex
from gateway.search.index.opensearch.index_store import (
    ClusterIndex,
    IndexStore,
    begun_index,
    replaced_indexes,
    serving_index,
)
from gateway.search.index.opensearch.mapping import serving_alias

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# What changes without a pause is written together: each time the cluster makes searchable what was written. The first
# change after a pause waits for no other.
_PACE_SECONDS = 0.5
# An index is at it for so long before another one has its turn.
_TURN_SECONDS = 0.3
_BACKOFF = Backoff(1.0, 5.0)
_BEAT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What came of one look at the catalogue: whether `more` is left to write, why an index was not followed, and why
    one lacks a document that the cluster does not take."""

    more: bool
    failure: ModelGateError | None
    refusal: OpenSearchError | None


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
        self._followed: dict[str, FollowedIndex] = {}
        self._changed = asyncio.Event()
        self._behind_since: dict[tuple[str, int], float] = {}
        self._failure = ""
        self._side_failures: dict[str, str] = {}
        self._beaten_at: dict[str, float] = {}
        # By what is not followed any more.
        self._written_before = 0
        if notices is not None:
            notices.subscribe(self._on_notice)

    @property
    def progress(self) -> FeedProgress:
        """Of this process; where another one leads, nothing is known here."""
        now = time.monotonic()
        tenants = {tenant_id for _, tenant_id in self._behind_since}
        seconds = max((now - since for since in self._behind_since.values()), default=0.0)
        written = self._written_before + sum(followed.written for followed in self._followed.values())
        return FeedProgress(len(tenants), seconds, self._failure, written)

    async def run(self) -> None:
        """Until cancelled; a cluster or database that is down is tried again after a while."""
        failures = 0
        wrote_at = -math.inf
        try:
            while True:
                self._changed.clear()
                started, written = time.monotonic(), self.progress.written
                try:
                    look = await self._look()
                except ModelGateError as error:
                    look = _Look(more=False, failure=error, refusal=None)
                if self.progress.written > written:
                    wrote_at = started
                self._tell(look.failure or look.refusal)
                failures = failures + 1 if look.failure is not None else 0
                if look.more:
                    continue
                if failures:
                    await asyncio.sleep(_BACKOFF.delay(failures))
                    continue
                with anyio.move_on_after(_LOOK_SECONDS):
                    await self._changed.wait()
                await asyncio.sleep(max(0.0, wrote_at + _PACE_SECONDS - time.monotonic()))
        finally:
            # Another process leads, and of what that one does nothing is known here.
            self._forget_all()
            self._behind_since.clear()
            self._failure = ""

    async def catch_up(self) -> None:
        """Bring every index up to the catalogue as it is now. Raises DatabaseError and OpenSearchError."""
        while True:
            look = await self._look()
            if look.more:
                continue
            error = look.failure or look.refusal
            if error is not None:
                raise error
            return

    async def rebuild(self, space: StoredSpace) -> None:
        """Begin a new index beside the one that serves; it is filled, and takes that one's place, by whoever leads."""
        await self.store.begin(space, beside_serving=True)
        self._changed.set()

    async def _look(self) -> _Look:
        """Write what changed, some of it where it is much. Raises DatabaseError, and OpenSearchError where no index can
        be looked at."""
        records = await self._spaces.records()
        indexes = await self._indexes()
        wanted = [record.stored for record in records if record.is_searched]
        more = False
        failure: OpenSearchError | None = None
        for space in wanted:
            try:
                with reading_answers():
                    is_left, failed = await self._keep(space, indexes)
            except OpenSearchError as error:
                # Another space may still be followed.
                is_left, failed = False, error
            more, failure = more or is_left, failure or failed
        active = next((record.stored for record in records if record.active), None)
        serving = None if active is None else serving_index(indexes, active.id)
        if active is not None and (serving is None or serving_alias(self._client.settings) not in serving.aliases):
            with self._beside(serving_alias(self._client.settings)):
                await self.store.serve(active.id)
        # Those of spaces that are not to have one any more, and those that were replaced.
        wanted_ids = {space.id for space in wanted}
        dropped = [index for index in indexes if index.owner.space_id not in wanted_ids]
        for space_id in wanted_ids:
            dropped += replaced_indexes(indexes, space_id)
        for index in dropped:
            with self._beside(index.name):
                await self._drop(index.name)
        await self._beat([index for index in indexes if index not in dropped])
        refusals = (followed.refusal for followed in self._followed.values())
        return _Look(more, failure, next((refusal for refusal in refusals if refusal is not None), None))

    async def _indexes(self) -> Sequence[ClusterIndex]:
        """Those that are there; of others nothing is known any more."""
        try:
            with reading_answers():
                if not self._client.is_verified:
                    await self._client.verify()
                indexes = await self.store.settled_indexes()
        except OpenSearchError:
            # What this process knows of an index may be about another one by now.
            self._forget_all()
            raise
        there = {index.name for index in indexes}
        for name in self._followed.keys() - there:
            self._forget(name)
        self._beaten_at = {name: at for name, at in self._beaten_at.items() if name in there}
        self._behind_since = {place: since for place, since in self._behind_since.items() if place[0] in there}
        return indexes

    async def _beat(self, indexes: Sequence[ClusterIndex]) -> None:
        """Say from time to time that the indexes that serve are written from this database."""
        now = time.monotonic()
        for index in indexes:
            if not index.is_serving or now - self._beaten_at.get(index.name, -_BEAT_SECONDS) < _BEAT_SECONDS:
                continue
            self._beaten_at[index.name] = now
            with self._beside(f"{index.name} _meta"):
                await self.store.beat(index)

    async def _keep(self, space: StoredSpace, indexes: Sequence[ClusterIndex]) -> tuple[bool, OpenSearchError | None]:
        """Follow with the index that serves, and fill the one that is to, where there is one or none serves; whether
        more is left to write, and why one of two was not followed."""
        serving, begun = serving_index(indexes, space.id), begun_index(indexes, space.id)
        more = False
        failure: OpenSearchError | None = None
        if serving is not None:
            try:
                with self._forgetting(serving.name):
                    followed = await self._follow(serving, space)
                    if followed is None:
                        serving = None
                    else:
                        more = self._has_more(serving.name, followed)
                        await followed.compare(time.monotonic() + _TURN_SECONDS)
            except OpenSearchError as error:
                # One that is beyond repair is replaced by the other.
                failure = error
        if begun is None and (serving is not None or failure is not None):
            return more, failure
        building = begun or await self.store.begin(space)
        with self._forgetting(building.name):
            return await self._fill(building, space) or more, failure

    async def _fill(self, index: ClusterIndex, space: StoredSpace) -> bool:
        """Write some of what is missing in an index that does not serve yet, and let it serve once nothing is; whether
        more is left to do."""
        followed = await self._follow(index, space)
        if followed is None or self._has_more(index.name, followed):
            return True
        if followed.stalled:
            return False
        if not await followed.mend_all(time.monotonic() + _TURN_SECONDS):
            return True
        # An index without some documents is better than none, and one that takes hardly any is not.
        if followed.refusal is None or await followed.has_most():
            await self.store.publish(index)
            logger.info("Searches in space %d go to index %s.", space.id, index.name)
            # The one before is dropped with the next look.
            return True
        return False

    async def _follow(self, index: ClusterIndex, space: StoredSpace) -> FollowedIndex | None:
        """Write some of what changed into an index; None where it was ahead of the catalogue, and is gone."""
        index.check_open()
        followed = self._followed.get(index.name)
        if followed is None:
            followed = FollowedIndex(self._database, self._client, self._installation, space, index.name)
            await followed.load()
            self._followed[index.name] = followed
        versions = {row["id"]: row["catalogue_version"] for row in await self._database.fetch("feed_tenants")}
        if followed.is_ahead(versions):
            # The database was restored from a backup: what is newer here would never be written over.
            logger.warning("Index %s is ahead of the database, and is built anew.", index.name)
            await self._drop(index.name)
            return None
        self._note_behind(index.name, followed.behind(versions))
        await followed.follow(versions, time.monotonic() + _TURN_SECONDS)
        self._note_behind(index.name, followed.behind(versions))
        return followed

    def _note_behind(self, name: str, tenant_ids: Collection[int]) -> None:
        """Of an index these tenants are behind, and no others."""
        now = time.monotonic()
        others = {place: since for place, since in self._behind_since.items() if place[0] != name}
        behind = {(name, tenant_id): self._behind_since.get((name, tenant_id), now) for tenant_id in tenant_ids}
        self._behind_since = others | behind

    def _has_more(self, name: str, followed: FollowedIndex) -> bool:
        """Whether more can be written into an index by now."""
        return any(index == name and tenant_id not in followed.stalled for index, tenant_id in self._behind_since)

    @contextlib.contextmanager
    def _forgetting(self, name: str) -> Iterator[None]:
        """After a failure inside, what this process knows of an index may be about another one by now."""
        try:
            with reading_answers():
                yield
        except OpenSearchError:
            self._forget(name)
            raise

    @contextlib.contextmanager
    def _beside(self, what: str) -> Iterator[None]:
        """A failure inside keeps nobody from searching, nor the catalogue from being followed; it is said once."""
        try:
            with reading_answers():
                yield
        except OpenSearchError as error:
            if self._side_failures.get(what) != error.message:
                logger.warning("%s; it is tried again by itself.", error.message)
            self._side_failures[what] = error.message
        else:
            self._side_failures.pop(what, None)

    def _forget(self, name: str) -> None:
        followed = self._followed.pop(name, None)
        if followed is not None:
            self._written_before += followed.written

    def _forget_all(self) -> None:
        for name in tuple(self._followed):
            self._forget(name)

    async def _drop(self, name: str) -> None:
        self._forget(name)
        await self.store.drop(name)

    def _tell(self, error: ModelGateError | None) -> None:
        """Say what keeps the cluster behind, once, and that nothing does any more."""
        message = "" if error is None else error.message
        if message and message != self._failure:
            logger.warning("The search cluster does not follow the catalogue: %s", message)
        elif self._failure and not message:
            logger.info("The search cluster is followed again.")
        self._failure = message

    def _on_notice(self, notice: Notice) -> None:
        if notice.concerns_catalogue or notice.space_id is not None:
            self._changed.set()
