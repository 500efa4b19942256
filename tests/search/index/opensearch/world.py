"""A catalogue with an oracle, and the cluster: what may happen to them, and what holds whatever does."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from gateway.errors import OpenSearchError
from gateway.search.index.memory_index import MemoryIndex
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.feed.index_feed import IndexFeed
from gateway.search.index.opensearch.opensearch_index import OpenSearchIndex
from gateway.search.index.tool_index import SearchScope
from gateway.search.query.parsed_query import ParsedQuery
from tests.opensearch.proxy import Answer, ClusterProxy
from tests.support.indexed_catalogue import TENANT, CataloguedTool, IndexedCatalogue
from tests.support.waiting import until

WORDS = ("cat", "cow", "boat")
QUERY = ParsedQuery(("cat", "boat"), np.array([0.6, 0.8, 0, 0], np.float32))
FIRST = (
    CataloguedTool("farm", "feed", "cat cat cow"),
    CataloguedTool("farm", "count", "cow", vector=(0.0, 1.0, 0.0, 0.0)),
    CataloguedTool("sea", "sail", "boat", vector=(0.0, 0.6, -0.8, 0.0)),
)
_tools = st.builds(
    CataloguedTool,
    server=st.sampled_from(("farm", "sea")),
    name=st.sampled_from(("feed", "count", "sail", "read")),
    description=st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
    vector=st.sampled_from((None, (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.6, -0.8, 0.0))),
)
CHANGES = st.one_of(
    st.tuples(st.just("write"), st.lists(_tools, min_size=1, max_size=4, unique_by=lambda tool: tool.exposed_name)),
    st.tuples(st.just("hide"), st.integers(0, 7)),
    st.tuples(st.just("remove server"), st.sampled_from(("farm", "sea"))),
    st.tuples(st.just("allow"), st.sets(st.integers(0, 7))),
)
"""Steps that change the catalogue or what a role may see."""
FEEDS = st.one_of(st.tuples(st.just("feed"), st.none()), st.tuples(st.just("other feed"), st.none()))
"""Steps in which a process brings the cluster up to the catalogue."""
FAULTS = st.one_of(
    st.tuples(st.just("delete index"), st.none()),
    st.tuples(st.just("cut off feed"), st.integers(1, 6)),
    st.tuples(st.just("lose cluster"), st.booleans()),
)
"""Steps in which the cluster loses an index, a request, or all of them."""


@dataclass
class World:
    """The catalogue with an oracle, and the cluster behind a proxy that may be lost; `direct` among the feeds is before
    no proxy that is."""

    catalogue: IndexedCatalogue
    memory: MemoryIndex
    index: OpenSearchIndex
    feeds: dict[str, IndexFeed]
    proxy: ClusterProxy
    client: OpenSearchClient
    scope: SearchScope = field(init=False)
    hidden: set[str] = field(default_factory=set)
    lost: bool = False

    async def begin(self) -> None:
        """With three tools and a role that finds them, whatever was there before."""
        await self.catalogue.clear()
        await self.catalogue.upsert(*FIRST)
        self.scope = SearchScope(TENANT, (await self.catalogue.add_role("some", *self.catalogue.ids),))
        self.hidden = set()
        self.proxy.alter, self.lost = None, False

    def names(self, places: set[int]) -> list[str]:
        """The tools at these places that are there."""
        there = sorted(set(self.catalogue.ids) - self.hidden)
        return [there[place] for place in sorted(places) if place < len(there)]

    async def take(self, step: str, what: Any) -> None:
        catalogue = self.catalogue
        if step == "write":
            await catalogue.upsert(*what)
            self.hidden -= {tool.exposed_name for tool in what}
        elif step == "hide" and (names := self.names({what})):
            await catalogue.hide(*names)
            self.hidden.update(names)
        elif step == "remove server" and what in catalogue.servers:
            await catalogue.remove_server(what)
            self.hidden = {name for name in self.hidden if not name.startswith(f"{what}__")}
        elif step == "allow":
            await catalogue.set_visible(self.scope.role_ids[0], *self.names(what))
        elif step == "delete index":
            for index in await self.feeds["direct"].store.indexes():
                await self.client.request("DELETE", url_path(index.name))
        elif step == "lose cluster":
            self.lost = what
        elif step == "cut off feed":
            self.proxy.alter = _cut_off_after(what)
            await self.feed("feed")
        elif step in self.feeds:
            await self.feed(step)
        self.proxy.alter = _lost if self.lost else None

    async def feed(self, name: str) -> None:
        """Have this one catch up, as far as the cluster lets it."""
        with contextlib.suppress(OpenSearchError):
            await self.feeds[name].catch_up()

    async def check_shown(self, *, is_away: bool = False) -> None:
        """What is shown is what the role may see at this moment, whoever answered; where the cluster `is_away`, it is
        PostgreSQL, with a notice."""
        wanted = await self.memory.signals(self.scope, self.catalogue.space, [QUERY])
        asked = self.index.asked["opensearch"]
        signals = await self.index.signals(self.scope, self.catalogue.space, [QUERY])
        is_of_cluster = self.index.asked["opensearch"] > asked
        shown = await self.index.cards(self.scope, self.catalogue.space, signals.tool_ids.tolist())
        assert set(shown) <= set(wanted.tool_ids.tolist())
        assert not (signals.notice and is_of_cluster)
        assert not (is_away and is_of_cluster)
        # Of a scope without tools the cluster is not asked.
        assert signals.notice or not is_away or not len(wanted.tool_ids)
        if not is_of_cluster:
            assert set(shown) == set(wanted.tool_ids.tolist())

    async def check_same(self) -> None:
        """With all that was lost found again, and one more look of a feed, both measure the same."""
        self.proxy.alter, self.lost = None, False
        for name in ("feed", "feed"):
            await self.feed(name)
        await until(self._answers)
        wanted = await self.memory.signals(self.scope, self.catalogue.space, [QUERY])
        asked = self.index.asked["opensearch"]
        signals = await self.index.signals(self.scope, self.catalogue.space, [QUERY])
        assert signals.notice == ""
        # Of a scope without tools the cluster is not asked.
        assert self.index.asked["opensearch"] == asked + bool(len(wanted.tool_ids))
        order, expected = np.argsort(signals.tool_ids), np.argsort(wanted.tool_ids)
        assert signals.tool_ids[order].tolist() == wanted.tool_ids[expected].tolist()
        assert signals.lexical[:, order] == pytest.approx(wanted.lexical[:, expected], rel=2e-3, abs=1e-5)
        assert (signals.cosines is None) == (wanted.cosines is None)
        if signals.cosines is not None and wanted.cosines is not None:
            assert signals.cosines[:, order] == pytest.approx(wanted.cosines[:, expected], abs=1e-5, nan_ok=True)

    async def _answers(self) -> bool:
        return not (await self.index.signals(self.scope, self.catalogue.space, [QUERY])).notice


def _lost(method: str, path: str, answer: Answer) -> Answer:
    return 503, {"error": {"type": "no_shard_available_action_exception", "reason": ""}, "status": 503}


def _cut_off_after(requests: int) -> Any:
    left = requests

    def alter(method: str, path: str, answer: Answer) -> Answer:
        nonlocal left
        left -= 1
        # The cluster may have done what was asked before its answer is lost.
        return answer if left > 0 else _lost(method, path, answer)

    return alter
