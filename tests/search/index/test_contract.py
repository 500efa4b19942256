"""What all indexes promise, over catalogues, roles, scopes and queries of all kinds: they give the same answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import anyio.from_thread
import anyio.to_thread
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.database.notices import Notices
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query.clauses import clauses_of
from gateway.search.query.parsed_query import MAX_CORRECTED, ParsedQuery, terms_of_each
from gateway.search.ranking import Signals, rank
from gateway.search.score import scores_of
from gateway.settings import OpenSearchSettings
from tests.support.indexed_catalogue import (
    DIMENSIONS,
    TENANT,
    CataloguedTool,
    IndexedCatalogue,
)
from tests.support.thoroughness import cases

WORDS = ("create", "issue", "calendar", "event", "file", "read", "天気", "予報を調べる", "GitHub")
CATEGORIES = ("git", "other")
SERVERS = ("github", "notes", "map")


@dataclass(frozen=True)
class Case:
    tools: tuple[CataloguedTool, ...]
    visible: tuple[str, ...]
    category: str | None
    server: str | None
    query: str
    vector: tuple[float, ...] | None


def _unit(numbers: list[int]) -> tuple[float, ...]:
    vector = np.array(numbers, np.float64)
    return tuple((vector / (np.linalg.norm(vector) or 1)).tolist())


_vectors = st.lists(st.integers(-4, 4), min_size=DIMENSIONS, max_size=DIMENSIONS).filter(any).map(_unit)
# A vector that was learnt, and its correction.
_learnt = st.tuples(_vectors, st.integers(-2, 8)).map(lambda drawn: (*drawn[0], drawn[1] / 16))
_texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
_tools = st.builds(
    CataloguedTool,
    server=st.sampled_from(SERVERS),
    name=st.sampled_from(("create_issue", "readFile", "event.find", "x")),
    description=_texts,
    category=st.sampled_from(CATEGORIES),
    vector=st.none() | _vectors,
    learnt=st.none() | _learnt,
    visible_to=st.none() | st.sampled_from(((), ("app",), ("model",), ("model", "app"))),
)
_queries = st.one_of(
    _texts,
    st.text(max_size=40),
    st.sampled_from(
        (
            "calender evnt",
            "create an issue, then read the file and find the event",
            "create_issue",
            "github__create_issue",
            "github/create_issue",
            "Notes:readFile",
            "the of and",
            "😀",
            "x",
        )
    ),
)


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    tools = draw(st.lists(_tools, max_size=10, unique_by=lambda tool: tool.exposed_name))
    names = sorted({tool.exposed_name for tool in tools})
    visible = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    return Case(
        tuple(tools),
        tuple(visible),
        draw(st.none() | st.sampled_from(CATEGORIES)),
        draw(st.none() | st.sampled_from(sorted({tool.server for tool in tools}))) if tools else None,
        draw(_queries),
        draw(st.none() | _vectors),
    )


async def _forms(index: ToolIndex, scope: SearchScope, catalogue: IndexedCatalogue, case: Case) -> list[ParsedQuery]:
    texts = (case.query, *clauses_of(case.query))
    vocabulary = await index.vocabulary(scope, catalogue.space, texts, MAX_CORRECTED)
    vector = None if case.vector is None else np.array(case.vector, np.float32)
    # Each clause means something else than the whole.
    return [
        ParsedQuery(terms, None if vector is None else np.roll(vector, place))
        for place, terms in enumerate(terms_of_each(texts, vocabulary))
    ]


def _sorted_by_id(signals: Signals) -> Signals:
    order = np.argsort(signals.tool_ids)
    cosines = None if signals.cosines is None else signals.cosines[:, order]
    return Signals(
        signals.tool_ids[order], signals.servers[order], cosines, signals.lexical[:, order], signals.max_lexical
    )


async def _assert_same(
    memory: ToolIndex,
    other: ToolIndex,
    scope: SearchScope,
    catalogue: IndexedCatalogue,
    case: Case,
    precision: float = 1e-6,
) -> None:
    """`precision` is that with which the other one keeps what it has of words."""
    forms = await _forms(memory, scope, catalogue, case)
    assert [form.terms for form in await _forms(other, scope, catalogue, case)] == [form.terms for form in forms]
    in_memory = _sorted_by_id(await memory.signals(scope, catalogue.space, forms))
    in_other = _sorted_by_id(await other.signals(scope, catalogue.space, forms))
    assert in_other.notice == ""
    assert in_other.tool_ids.tolist() == in_memory.tool_ids.tolist()
    assert in_other.servers.tolist() == in_memory.servers.tolist()
    assert in_other.lexical == pytest.approx(in_memory.lexical, abs=1e-5, rel=precision)
    assert in_other.max_lexical == pytest.approx(in_memory.max_lexical)
    assert (in_other.cosines is None) == (in_memory.cosines is None)
    if in_memory.cosines is not None and in_other.cosines is not None:
        assert in_other.cosines == pytest.approx(in_memory.cosines, abs=1e-5, nan_ok=True)

    visible = {
        catalogue.ids[tool.exposed_name]
        for tool in case.tools
        if tool.exposed_name in case.visible
        and (tool.visible_to is None or "model" in tool.visible_to)
        and case.category in (None, tool.category)
        and case.server in (None, tool.server)
    }
    assert set(in_memory.tool_ids.tolist()) == visible

    baselines = [await index.baseline(TENANT, catalogue.space) for index in (memory, other)]
    assert baselines[0].mean == pytest.approx(baselines[1].mean, abs=1e-5)
    assert baselines[0].deviation == pytest.approx(baselines[1].deviation, abs=1e-5)
    ranked = []
    for signals in (in_memory, in_other):
        ranking = rank(signals, baselines[0])
        scores = scores_of(signals, ranking, baselines[0])
        ranked.append((scores, scores[ranking.order]))
    # Scores grow with words at a few times their rate.
    assert ranked[0][0] == pytest.approx(ranked[1][0], abs=max(1e-3, 5 * precision))
    # The same order up to equal scores.
    assert ranked[0][1] == pytest.approx(ranked[1][1], abs=max(1e-3, 5 * precision))

    named = [await index.named(scope, catalogue.space, case.query.strip()) for index in (memory, other)]
    assert set(named[0]) == set(named[1])
    assert set(named[0]) <= visible
    cards = [await index.cards(scope, catalogue.space, sorted(visible)) for index in (memory, other)]
    assert cards[0] == cards[1]
    assert set(cards[0]) == visible


async def _scope(catalogue: IndexedCatalogue, case: Case) -> SearchScope:
    """The catalogue is what the case says from here on, and this what is searched of it."""
    await catalogue.clear()
    await catalogue.upsert(*case.tools)
    role_id = await catalogue.add_role("some", *case.visible)
    server_id = None if case.server is None else catalogue.servers[case.server]
    return SearchScope(TENANT, (role_id,), case.category, server_id)


async def _check_cases(check: Callable[[Case], Coroutine[Any, Any, None]], count: int) -> None:
    @hypothesis_settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(_cases())
    def same(case: Case) -> None:
        anyio.from_thread.run(check, case)

    await anyio.to_thread.run_sync(same)


async def test_memory_and_postgresql_measure_rank_score_name_and_show_the_same(catalogue: IndexedCatalogue) -> None:
    notices = Notices(catalogue.database)
    # The one in memory follows from case to case, as servers, tools and roles come and go.
    memory, database = catalogue.memory(notices), catalogue.pgvector(notices)

    async def check(case: Case) -> None:
        await _assert_same(memory, database, await _scope(catalogue, case), catalogue, case)

    await _check_cases(check, cases(30, 100))


async def test_memory_and_opensearch_measure_rank_score_name_and_show_the_same(
    catalogue: IndexedCatalogue, opensearch: OpenSearchSettings
) -> None:
    notices = Notices(catalogue.database)
    memory = catalogue.memory(notices)
    async with catalogue.opensearch(notices, opensearch) as (index, feed):

        async def check(case: Case) -> None:
            scope = await _scope(catalogue, case)
            await feed.catch_up()
            await _assert_same(memory, index, scope, catalogue, case, precision=2e-3)

        await _check_cases(check, 25)
        assert index.asked["opensearch"] > 0
