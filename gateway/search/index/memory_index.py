"""The index in memory: a read model for each tenant and space, built from PostgreSQL, kept by notices of changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gateway.database.connection import DatabaseConnection, Row
from gateway.database.notices import Notice, Notices
from gateway.database.pool import Database
from gateway.embedding.space_store import StoredSpace
from gateway.embedding.spaces import Spaces
from gateway.errors import IndexTooLargeError
from gateway.search.background import Backgrounds
from gateway.search.index.tenant_index import IndexedTool, TenantIndex
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope
from gateway.search.query_form import QueryForm, Vocabulary
from gateway.search.ranking import ASSUMED_BACKGROUND, Background, Signals
from gateway.search.visible_tools import VisibilityCache

_AT_A_TIME = 1_000
_FROM_THE_START = "0"
# What an index without vectors is kept under: words alone, while no space serves.
_NO_SPACE = 0
# A tool's texts, terms and names, beside its vector; real tools take two thirds of it.
_ASSUMED_BYTES_PER_TOOL = 4_000
_NEVER_READ = -1
# What a tenant takes that did not fit is believed for so long: to read it anew takes as long as to read one that fits.
_MEASURE_AGAIN_SECONDS = 60.0


@dataclass(slots=True)
class _Loaded:
    """An index, and what it was last brought up to: the catalogue's version, and where the next changes begin.

    `announced` counts what may have changed it, `read` is how much of that it has taken in. `too_large` is the
    number of tools where all together do not fit. Where only reading them showed that, one took
    `measured_bytes_per_tool`, which is believed until `measure_again_at`.
    """

    index: TenantIndex
    cards: dict[int, ToolCard] = field(default_factory=dict)
    servers: dict[int, tuple[str, str]] = field(default_factory=dict)
    version: int = _NEVER_READ
    horizon: str = _FROM_THE_START
    announced: int = 1
    read: int = 0
    updating: asyncio.Task[None] | None = None
    too_large: int | None = None
    measured_bytes_per_tool: int = 0
    measure_again_at: float = 0.0

    @property
    def is_updating(self) -> bool:
        """Whether what has changed is being read."""
        return self.updating is not None and not self.updating.done()

    @property
    def is_to_be_measured(self) -> bool:
        """Whether it was put off for what it took before, and that is no longer believed."""
        is_put_off = self.too_large is not None and self.version == _NEVER_READ
        return is_put_off and self.measure_again_at <= time.monotonic()

    def bytes_per_tool(self) -> int:
        """What a tool takes, with its vector, as far as that is known."""
        if time.monotonic() < self.measure_again_at:
            return self.measured_bytes_per_tool
        return _ASSUMED_BYTES_PER_TOOL + 4 * self.index.dimensions

    def clear(self) -> None:
        """Hold nothing, as at the beginning."""
        self.index = TenantIndex(self.index.dimensions)
        self.cards, self.servers, self.horizon = {}, {}, _FROM_THE_START


class MemoryIndex:
    """Answers from memory. Tenants that were searched longest ago go first when all together take over `max_bytes`.

    Those that are being searched stay until then, for one that goes amid a search is read anew for its next step.
    Every method raises IndexTooLargeError for a tenant that does not fit by itself.
    """

    def __init__(
        self, database: Database, spaces: Spaces, visibility: VisibilityCache, notices: Notices, max_bytes: int
    ) -> None:
        self._database = database
        self._visibility = visibility
        self._notices = notices
        self._max_bytes = max_bytes
        self._backgrounds = Backgrounds(spaces)
        self._loaded: OrderedDict[tuple[int, int], _Loaded] = OrderedDict()
        self._pins: Counter[int] = Counter()
        self._updates: set[asyncio.Task[None]] = set()
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

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        return loaded.index.vocabulary(mask, scope.category, scope.server_id)

    async def background(self, tenant_id: int, space: StoredSpace | None) -> Background:
        """See `ToolIndex`; until everyday requests are embedded, what is assumed."""
        if space is None:
            return ASSUMED_BACKGROUND
        index = (await self._current(tenant_id, space)).index

        async def sample() -> NDArray[np.float32]:
            return index.sample()

        return await self._backgrounds.background(tenant_id, space, index.vectors, sample)

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[QueryForm]) -> Signals:
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
        return [tool_id for tool_id in dict.fromkeys(named) if _is_in_scope(loaded, mask, scope, tool_id)]

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """See `ToolIndex`."""
        mask = await self._mask(scope)
        loaded = await self._current(scope.tenant_id, space)
        return {
            tool_id: loaded.cards[tool_id]
            for tool_id in tool_ids
            if tool_id in loaded.cards and _is_in_scope(loaded, mask, scope, tool_id)
        }

    @property
    def tenants_in_database(self) -> Collection[int]:
        """See `ToolIndex`; asked here, they are refused."""
        return {tenant_id for (tenant_id, _), loaded in self._loaded.items() if loaded.too_large is not None}

    async def aclose(self) -> None:
        """End what is under way."""
        await self._backgrounds.aclose()
        tasks = list(self._updates)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def size_bytes(self) -> int:
        """See `ToolIndex`."""
        return sum(loaded.index.size_bytes for loaded in self._loaded.values())

    @property
    def tenant_ids(self) -> Collection[int]:
        """The tenants whose catalogues are in memory, those searched longest ago first."""
        return dict.fromkeys(tenant_id for tenant_id, _ in self._loaded)

    async def _mask(self, scope: SearchScope) -> NDArray[np.bool_]:
        return (await self._visibility.visible_tools(scope.tenant_id, scope.role_ids)).mask

    async def _current(self, tenant_id: int, space: StoredSpace | None) -> _Loaded:
        """The tenant's index, brought up to the catalogue as it is at this moment.

        Whoever reads it does so without awaiting anything in between: an update may be under way.
        """
        key = (tenant_id, space.id if space is not None else _NO_SPACE)
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = _Loaded(TenantIndex(space.space.dimensions if space is not None else 0))
        self._loaded.move_to_end(key)
        if not self._notices.connected:
            # Nobody says what changes: anything may have.
            loaded.announced += 1
        elif loaded.is_to_be_measured:
            loaded.announced += 1
        wanted = loaded.announced
        while loaded.read < wanted:
            if loaded.updating is None or loaded.updating.done():
                loaded.updating = asyncio.create_task(self._update(key, loaded))
                self._updates.add(loaded.updating)
                loaded.updating.add_done_callback(self._updates.discard)
                # Whoever began it may have gone when it fails.
                loaded.updating.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.shield(loaded.updating)
        if loaded.too_large is not None:
            raise IndexTooLargeError(tenant_id, loaded.too_large)
        return loaded

    async def _update(self, key: tuple[int, int], loaded: _Loaded) -> None:
        """Take in what has changed; where that fails half-way, it is read again the next time."""
        # What is announced from here on may not be in what is read.
        announced = loaded.announced
        tenant_id, space_id = key
        if await self._database.fetchval("catalogue_version", tenant_id) != loaded.version:
            async with self._database.snapshot() as snapshot:
                state = await snapshot.fetchrow("index_state", tenant_id)
                if state is not None:
                    await self._read(snapshot, tenant_id, space_id, loaded, state)
            self._evict(loaded)
        loaded.read = announced

    async def _read(
        self, snapshot: DatabaseConnection, tenant_id: int, space_id: int, loaded: _Loaded, state: Row
    ) -> None:
        is_too_large = state["tools"] * loaded.bytes_per_tool() > self._max_bytes
        loaded.too_large = state["tools"] if is_too_large else None
        if loaded.too_large is None:
            await self._read_servers(snapshot, tenant_id, loaded)
            await self._read_tools(snapshot, tenant_id, space_id, loaded, state["tools"])
        if loaded.too_large is None:
            if loaded.index.tools != state["tools"]:
                there = {row["id"] for row in await snapshot.fetch("index_tool_ids", tenant_id)}
                _forget(loaded, set(loaded.index.tool_ids) - there)
            if loaded.index.is_sparse:
                loaded.clear()
                await self._read_servers(snapshot, tenant_id, loaded)
                await self._read_tools(snapshot, tenant_id, space_id, loaded, state["tools"])
            loaded.horizon = state["horizon"]
        else:
            loaded.clear()
        # What was not read for its former size is to be read when that is no longer believed.
        is_put_off = is_too_large and time.monotonic() < loaded.measure_again_at
        loaded.version = _NEVER_READ if is_put_off else state["catalogue_version"]

    async def _read_servers(self, snapshot: DatabaseConnection, tenant_id: int, loaded: _Loaded) -> None:
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
        self, snapshot: DatabaseConnection, tenant_id: int, space_id: int, loaded: _Loaded, tools: int
    ) -> None:
        """Take in the tools that changed; stops with `too_large` set where they turn out not to fit."""
        dimensions = max(loaded.index.dimensions, 1)
        after = 0
        while True:
            rows = await snapshot.fetch(
                "index_tools", tenant_id, after, _AT_A_TIME, loaded.horizon, space=space_id, dimensions=dimensions
            )
            if not rows:
                return
            after = rows[-1]["id"]
            there = [row for row in rows if not row["removed"]]
            terms = await snapshot.fetch("index_terms", tenant_id, [row["id"] for row in there])
            counts = {row["tool_id"]: dict(zip(row["terms"], row["counts"], strict=True)) for row in terms}
            _forget(loaded, [row["id"] for row in rows if row["removed"]])
            cards = {row["id"]: ToolCard.of(row, loaded.servers[row["server_id"]][0]) for row in there}
            loaded.index.put([_indexed(row, counts.get(row["id"], {}), cards[row["id"]]) for row in there])
            loaded.cards.update(cards)
            if loaded.index.size_bytes > self._max_bytes:
                loaded.measured_bytes_per_tool = loaded.index.size_bytes // max(loaded.index.tools, 1)
                loaded.measure_again_at = time.monotonic() + _MEASURE_AGAIN_SECONDS
                loaded.too_large = tools
                return
            if len(rows) < _AT_A_TIME:
                return
            # A large catalogue is taken in between other work.
            await asyncio.sleep(0)

    def _evict(self, current: _Loaded | None = None) -> None:
        """Drop those that were searched longest ago, but never `current` and none in use, until all fit."""
        for key, loaded in list(self._loaded.items()):
            if self.size_bytes <= self._max_bytes:
                return
            if loaded is not current and loaded.index.tools and not loaded.is_updating and not self._pins[key[0]]:
                del self._loaded[key]

    def _on_notice(self, notice: Notice) -> None:
        if notice.space_id is not None:
            for key in [key for key in self._loaded if key[1] != notice.space_id]:
                del self._loaded[key]
        if notice.concerns_catalogue:
            for (tenant_id, _), loaded in self._loaded.items():
                if notice.tenant_id in (None, tenant_id):
                    loaded.announced += 1


def _forget(loaded: _Loaded, tool_ids: Collection[int]) -> None:
    loaded.index.remove(tool_ids)
    for tool_id in tool_ids:
        loaded.cards.pop(tool_id, None)


def _is_in_scope(loaded: _Loaded, mask: NDArray[np.bool_], scope: SearchScope, tool_id: int) -> bool:
    position = loaded.index.position(tool_id)
    card = loaded.cards[tool_id]
    return (
        position < len(mask)
        and bool(mask[position])
        and (scope.category is None or card.category == scope.category)
        and (scope.server_id is None or card.server_id == scope.server_id)
    )


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
        size_bytes=card.size_bytes,
    )
