"""The index in memory: a read model for each tenant and space, built from PostgreSQL, kept by notices of changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Coroutine, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray

from gateway.database.connection import DatabaseConnection, Row
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import DatabaseError, IndexTooLargeError
from gateway.search.cosine_baseline import CosineBaselines
from gateway.search.index.loaded_tenant import NEVER_READ, LoadedTenant
from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery, Vocabulary
from gateway.search.ranking import ASSUMED_BASELINE, CosineBaseline, Signals
from gateway.search.visible_tools import VisibilityCache

_BATCH_SIZE = 1_000
# What an index without vectors is kept under: words alone, while no space serves.
_NO_SPACE = 0
# A space is not kept from serving for longer.
_PREPARE_SECONDS = 30.0
# What a tenant takes that did not fit is believed for so long: to read it anew takes as long as to read one that fits.
_MEASURE_AGAIN_SECONDS = 60.0


class MemoryIndex:
    """Answers from memory. Tenants that were searched longest ago go first when all together take over `max_bytes`.

    Those that are being searched stay until then, for one that goes amid a search is read anew for its next step.
    Every method raises IndexTooLargeError for a tenant that does not fit by itself.
    """

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        baselines: CosineBaselines,
        visibility: VisibilityCache,
        notices: Notices,
        max_bytes: int,
    ) -> None:
        self._database = database
        self._visibility = visibility
        self._notices = notices
        self._max_bytes = max_bytes
        self._spaces = spaces
        self._baselines = baselines
        self._loaded: OrderedDict[tuple[int, int], LoadedTenant] = OrderedDict()
        # Of each as it was last read: thousands are too many to measure at each search.
        self._bytes: dict[tuple[int, int], int] = {}
        self._total_bytes = 0
        self._pins: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        notices.subscribe(self._on_notice)

    @contextlib.contextmanager
    def pinned(self, tenant_id: int) -> Iterator[None]:
        """See `ToolIndex`."""
        self._pins[tenant_id] += 1
        try:
            yield
        finally:
            self._pins[tenant_id] -= 1
            if not self._pins[tenant_id]:
                del self._pins[tenant_id]
                self._evict()

    async def revision(self, scope: SearchScope, space: StoredSpace) -> Hashable | None:
        """See `ToolIndex`: the catalogue's version, what can be seen of it, and what everyday requests find in it."""
        baseline = await self.baseline(scope.tenant_id, space)
        visible = await self._visibility.visible_tools(scope.tenant_id, scope.role_ids)
        loaded = await self._current(scope.tenant_id, space)
        return loaded.version, visible, baseline

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        return loaded.index.vocabulary(mask, scope.category, scope.server_id)

    async def baseline(self, tenant_id: int, space: StoredSpace | None) -> CosineBaseline:
        """See `ToolIndex`; until everyday requests are embedded, what is assumed."""
        if space is None:
            return ASSUMED_BASELINE
        index = (await self._current(tenant_id, space)).index

        async def sample() -> NDArray[np.float32]:
            return index.sample()

        return await self._baselines.baseline(tenant_id, space, index.vectors, sample)

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        return loaded.index.signals(mask, queries, scope.category, scope.server_id)

    async def named(self, scope: SearchScope, space: StoredSpace | None, name: str) -> list[int]:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        forms: list[tuple[str | None, str]] = [(None, name)]
        for separator in ("/", ":"):
            server, found, tool = name.partition(separator)
            if found:
                forms.append((server, tool))
        named = [
            tool_id
            for server, tool in forms
            for tool_id in loaded.index.named(tool)
            if server is None or server in loaded.servers.get(loaded.cards[tool_id].server_id, ())
        ]
        return [tool_id for tool_id in dict.fromkeys(named) if loaded.is_in_scope(mask, scope, tool_id)]

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        return {
            tool_id: loaded.cards[tool_id]
            for tool_id in tool_ids
            if tool_id in loaded.cards and loaded.is_in_scope(mask, scope, tool_id)
        }

    @property
    def tenants_in_database(self) -> Collection[int]:
        """See `ToolIndex`; asked here, they are refused."""
        return {tenant_id for (tenant_id, _), loaded in self._loaded.items() if loaded.too_large is not None}

    async def prepare(self, space: StoredSpace) -> None:
        """See `ToolIndex`; as far as there is room beside what is in use, and for as long as that may take."""
        with anyio.move_on_after(_PREPARE_SECONDS):
            for key, loaded in self._held_elsewhere(space.id):
                if self.size_bytes + loaded.size_bytes <= self._max_bytes:
                    await self._read_beside(key[0], space)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._baselines.aclose()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def size_bytes(self) -> int:
        """See `ToolIndex`."""
        return self._total_bytes

    @property
    def tools(self) -> int:
        """See `ToolIndex`."""
        return sum(loaded.index.tools for loaded in self._loaded.values())

    @property
    def age_seconds(self) -> float:
        """See `ToolIndex`."""
        now = time.monotonic()
        behind = [loaded for loaded in self._loaded.values() if loaded.read < loaded.announced]
        return max((now - loaded.behind_since for loaded in behind), default=0.0)

    @property
    def tenant_ids(self) -> Collection[int]:
        """The tenants whose catalogues are in memory, those searched longest ago first."""
        return dict.fromkeys(tenant_id for tenant_id, _ in self._loaded)

    async def _mask(self, scope: SearchScope) -> NDArray[np.bool_]:
        return (await self._visibility.visible_tools(scope.tenant_id, scope.role_ids)).mask

    async def _current(self, tenant_id: int, space: StoredSpace | None) -> LoadedTenant:
        """The tenant's index, brought up to the catalogue as it is at this moment.

        Whoever reads it does so without awaiting anything in between: an update may be under way.
        """
        key = (tenant_id, space.id if space is not None else _NO_SPACE)
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = LoadedTenant(TenantIndex(space.space.dimensions if space is not None else 0))
            self._measure(key, loaded)
        self._loaded.move_to_end(key)
        if not self._notices.connected:
            # Nobody says what changes: anything may have.
            loaded.announce()
        elif loaded.is_to_be_measured:
            loaded.announce()
        wanted = loaded.announced
        while loaded.read < wanted:
            if loaded.updating is None or loaded.updating.done():
                loaded.updating = self._start(self._update(key, loaded))
            await asyncio.shield(loaded.updating)
        if loaded.too_large is not None:
            raise IndexTooLargeError(tenant_id, loaded.too_large)
        return loaded

    async def _update(self, key: tuple[int, int], loaded: LoadedTenant) -> None:
        """Take in what has changed; where that fails half-way, it is read again the next time."""
        # What is announced from here on may not be in what is read.
        announced = loaded.announced
        tenant_id, space_id = key
        version = await self._database.fetchval("catalogue_version", tenant_id)
        if version is None:
            # The tenant is gone.
            loaded.too_large = None
            loaded.clear()
            self._drop(key)
        elif version != loaded.version:
            try:
                if not await self._read_from_replica(tenant_id, space_id, loaded):
                    async with self._database.snapshot() as snapshot:
                        await self._read_from(snapshot, tenant_id, space_id, loaded)
            finally:
                self._measure(key, loaded)
            self._evict(loaded)
        loaded.read = announced

    async def _read_from_replica(self, tenant_id: int, space_id: int, loaded: LoadedTenant) -> bool:
        """Take in what has changed from a replica of the database; False where none has it, or it failed."""
        try:
            async with self._database.replica_snapshot(tenant_id) as snapshot:
                if snapshot is not None:
                    await self._read_from(snapshot, tenant_id, space_id, loaded)
                return snapshot is not None
        except DatabaseError:
            return False

    async def _read_from(
        self, snapshot: DatabaseConnection, tenant_id: int, space_id: int, loaded: LoadedTenant
    ) -> None:
        state = await snapshot.fetchrow("index_state", tenant_id)
        if state is not None:
            await self._read(snapshot, tenant_id, space_id, loaded, state)

    async def _read(
        self, snapshot: DatabaseConnection, tenant_id: int, space_id: int, loaded: LoadedTenant, state: Row
    ) -> None:
        is_too_large = state["tools"] * loaded.bytes_per_tool() > self._max_bytes
        loaded.too_large = state["tools"] if is_too_large else None
        if loaded.too_large is None:
            await self._read_servers(snapshot, tenant_id, loaded)
            await self._read_tools(snapshot, tenant_id, space_id, loaded, state["tools"])
        if loaded.too_large is None:
            if loaded.index.tools != state["tools"]:
                there = {row["id"] for row in await snapshot.fetch("index_tool_ids", tenant_id)}
                loaded.forget(set(loaded.index.tool_ids) - there)
            if loaded.index.is_sparse:
                loaded.clear()
                await self._read_servers(snapshot, tenant_id, loaded)
                await self._read_tools(snapshot, tenant_id, space_id, loaded, state["tools"])
            loaded.horizon = state["horizon"]
        else:
            loaded.clear()
        # What was not read for its former size is to be read when that is no longer believed.
        is_put_off = is_too_large and time.monotonic() < loaded.measure_again_at
        loaded.version = NEVER_READ if is_put_off else state["catalogue_version"]

    async def _read_servers(self, snapshot: DatabaseConnection, tenant_id: int, loaded: LoadedTenant) -> None:
        rows = await snapshot.fetch("index_servers", tenant_id)
        servers = {row["id"]: (row["name"], row["slug"]) for row in rows}
        renamed = {server_id for server_id, names in servers.items() if loaded.servers.get(server_id, names) != names}
        loaded.servers = servers
        if renamed:
            loaded.cards = {
                tool_id: replace(card, server=servers[card.server_id][0]) if card.server_id in renamed else card
                for tool_id, card in loaded.cards.items()
            }

    async def _read_tools(
        self, snapshot: DatabaseConnection, tenant_id: int, space_id: int, loaded: LoadedTenant, tools: int
    ) -> None:
        """Take in the tools that changed; stops with `too_large` set where they turn out not to fit."""
        dimensions = max(loaded.index.dimensions, 1)
        await snapshot.execute("plan_by_values")
        after = 0
        while True:
            rows = await snapshot.fetch(
                "index_tools", tenant_id, after, _BATCH_SIZE, loaded.horizon, space=space_id, dimensions=dimensions
            )
            if not rows:
                return
            after = rows[-1]["id"]
            there = [row for row in rows if not row["removed"]]
            terms = await snapshot.fetch("index_terms", tenant_id, [row["id"] for row in there])
            counts = {row["tool_id"]: dict(zip(row["terms"], row["counts"], strict=True)) for row in terms}
            loaded.forget([row["id"] for row in rows if row["removed"]])
            cards = {row["id"]: ToolCard.of(row, loaded.servers[row["server_id"]][0]) for row in there}
            loaded.index.upsert([_indexed(row, counts.get(row["id"], {}), cards[row["id"]]) for row in there])
            loaded.cards.update(cards)
            if loaded.index.size_bytes > self._max_bytes:
                loaded.measured_bytes_per_tool = loaded.index.size_bytes // max(loaded.index.tools, 1)
                loaded.measure_again_at = time.monotonic() + _MEASURE_AGAIN_SECONDS
                loaded.too_large = tools
                return
            if len(rows) < _BATCH_SIZE:
                return
            # A large catalogue is taken in between other work.
            await asyncio.sleep(0)

    def _evict(self, current: LoadedTenant | None = None) -> None:
        """Drop those that were searched longest ago, but never `current` and none in use, until all fit."""
        if self.size_bytes <= self._max_bytes:
            return
        # That a tenant is too large takes little to know, and much to find out again.
        for key, loaded in sorted(self._loaded.items(), key=lambda each: each[1].too_large is not None):
            if loaded is not current and not loaded.is_updating and not self._pins[key[0]]:
                self._drop(key)
                if self.size_bytes <= self._max_bytes:
                    return

    def _measure(self, key: tuple[int, int], loaded: LoadedTenant) -> None:
        # It may have been dropped while it was read.
        if self._loaded.get(key) is loaded:
            self._total_bytes += loaded.size_bytes - self._bytes.get(key, 0)
            self._bytes[key] = loaded.size_bytes

    def _drop(self, key: tuple[int, int]) -> None:
        if self._loaded.pop(key, None) is not None:
            self._total_bytes -= self._bytes.pop(key, 0)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Whoever began it may have gone when it fails.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _prepare_upcoming(self) -> None:
        """Another process lets a space serve soon: it makes ready for that as long as this one does."""
        space = await self._spaces.upcoming_space()
        if space is not None:
            await self.prepare(space)

    async def _go_over(self, space_id: int) -> None:
        """A space has begun to serve: have it for those who were searched in another, and nothing else."""
        space: StoredSpace | None = None
        with contextlib.suppress(DatabaseError):
            space = await self._spaces.known_active_space()
        for key, loaded in self._held_elsewhere(space_id):
            if self.size_bytes + loaded.size_bytes > self._max_bytes:
                self._drop(key)
            if space is not None and space.id == space_id:
                await self._read_beside(key[0], space)
            self._drop(key)

    def _held_elsewhere(self, space_id: int) -> list[tuple[tuple[int, int], LoadedTenant]]:
        """What is held in other spaces."""
        return [(key, loaded) for key, loaded in self._loaded.items() if key[1] != space_id]

    async def _read_beside(self, tenant_id: int, space: StoredSpace) -> None:
        """Have a tenant in a space in which it is not asked yet; where that fails, whoever asks reads it."""
        if (tenant_id, space.id) not in self._loaded:
            with contextlib.suppress(DatabaseError, IndexTooLargeError):
                await self.baseline(tenant_id, space)

    def _on_notice(self, notice: Notice) -> None:
        if notice.serving_space_id is not None:
            self._start(self._go_over(notice.serving_space_id))
        elif notice.space_id is not None:
            self._start(self._prepare_upcoming())
        if notice.concerns_catalogue:
            for (tenant_id, _), loaded in self._loaded.items():
                if notice.tenant_id in (None, tenant_id):
                    loaded.announce()


def _indexed(row: Row, terms: Mapping[str, int], card: ToolCard) -> IndexedTool:
    vector = row["ranking_embedding"]
    return IndexedTool(
        tool_id=row["id"],
        position=row["position"],
        server_id=row["server_id"],
        category=row["category"],
        exposed_name=row["exposed_name"],
        name=row["name"],
        terms=terms,
        length=row["term_count"],
        vector=vector.to_numpy().astype(np.float32) if vector is not None else None,
        correction=row["correction"],
        size_bytes=card.size_bytes,
    )
