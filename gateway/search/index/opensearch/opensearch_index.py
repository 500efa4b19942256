"""The index in an OpenSearch cluster; what it cannot answer, the one in PostgreSQL does, and it is said.

The cluster is asked which tools fit a query best. Whose names and texts are shown, and that they may be, is read from
the catalogue: a document that is behind shows no tool that is gone or denied.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import anyio
from cachetools import TTLCache

from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import OpenSearchError, OpenSearchIndexMissingError
from gateway.search.index.opensearch.catalogue_lag import CatalogueLag
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.failures import reading_answers
from gateway.search.index.opensearch.fault_watch import FaultWatch
from gateway.search.index.opensearch.feed.feed_state import read_version, version_body
from gateway.search.index.opensearch.mapping import space_alias
from gateway.search.index.opensearch.scope_filter import ScopeFilter, ScopeFilters
from gateway.search.index.opensearch.scope_measurement import FIRST_DEPTH, Scope, ScopeMeasurement
from gateway.search.index.opensearch.search_bodies import (
    candidates_body,
    corpus_body,
    frequencies_body,
    read_candidates,
    read_corpus,
    read_frequencies,
)
from gateway.search.index.opensearch.stale_documents import StaleDocuments
from gateway.search.index.opensearch.term_counts import ScopeCorpus, TermCounts
from gateway.search.index.tool_card import ToolCard
from gateway.search.index.tool_index import SearchScope, ToolIndex
from gateway.search.query.parsed_query import (
    CountedTerms,
    ParsedQuery,
    Vocabulary,
    query_terms,
    spelling_candidates,
    unknown_words,
)
from gateway.search.ranking import CosineBaseline, Signals

ResultT = TypeVar("ResultT")

# A space is not kept from serving for longer: until the cluster holds it, PostgreSQL answers.
_PREPARE_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_MAX_SCOPES = 1_000
# A query has so many clauses in the cluster at most, and a term takes eight of them.
_MAX_TERMS = 120
# While fewer of a caller's tools are there, the index is not taken for theirs.
_LEAST_SHARE = 0.5
# Whatever changed is in the cluster within a second or two; what is not for longer was kept from it.
_LAG_SECONDS = 5.0


class _AskDatabaseError(Exception):
    """The cluster cannot be asked this; PostgreSQL can, and nothing is wrong."""


class OpenSearchIndex:
    """Asks the cluster, and `database` where that fails or is not meant for it."""

    def __init__(
        self,
        client: OpenSearchClient,
        filters: ScopeFilters,
        stale: StaleDocuments,
        database: ToolIndex,
        exact_tools: int,
        *,
        depth: int = FIRST_DEPTH,
        statistics_seconds: float = 1.0,
    ) -> None:
        """How many tools there are is believed for `statistics_seconds`, and how rare terms are while these are found
        to be the same."""
        self._client = client
        self._filters = filters
        self._stale = stale
        self._database = database
        self._exact_tools = exact_tools
        self._depth = depth
        self._faults = FaultWatch()
        self.asked: Counter[str] = Counter({"opensearch": 0, "postgresql": 0})
        """How often each of the two was asked what the cluster is meant for."""
        self._lag = CatalogueLag()
        self._corpora: TTLCache[Hashable, ScopeCorpus] = TTLCache(_MAX_SCOPES, statistics_seconds)
        self._terms = TermCounts()

    @property
    def failure(self) -> str:
        """Why nobody asks the cluster just now, empty where it is asked."""
        return self._faults.failure

    @property
    def failures(self) -> list[str]:
        """That, and why single tenants or spaces are not searched there."""
        return self._faults.failures

    @property
    def tenants_in_database(self) -> Collection[int]:
        """See `ToolIndex`: none is meant to be in memory."""
        return ()

    @property
    def size_bytes(self) -> int:
        """See `ToolIndex`."""
        return self._database.size_bytes

    @property
    def tools(self) -> int:
        """See `ToolIndex`."""
        return self._database.tools

    @property
    def age_seconds(self) -> float:
        """See `ToolIndex`."""
        return self._database.age_seconds

    def pinned(self, tenant_id: int) -> AbstractContextManager[None]:
        """See `ToolIndex`: it holds nothing."""
        return self._database.pinned(tenant_id)

    async def revision(self, scope: SearchScope, space: StoredSpace) -> Hashable | None:
        """See `ToolIndex`: it is not known, for the cluster follows the catalogue by itself."""
        return None

    async def vocabulary(
        self, scope: SearchScope, space: StoredSpace | None, texts: Sequence[str], most_corrected: int
    ) -> Vocabulary:
        """See `ToolIndex`."""

        async def ask(stored: StoredSpace, narrowed: ScopeFilter) -> Vocabulary:
            asked = {term for text in texts for term in query_terms(text)}
            counted = await self._count(scope, stored, narrowed, asked)
            known = CountedTerms({term: counted.frequencies[term] for term in asked if counted.frequencies.get(term)})
            words = unknown_words(texts, known, most_corrected)
            guesses = sorted({guess for word in words for guess in spelling_candidates(word)})
            if not guesses:
                return known
            (answer,) = await self._client.search_each(
                counted.index, [candidates_body(counted.clauses, guesses)], routing=counted.routing
            )
            return CountedTerms({**read_candidates(answer), **known.counts})

        found, _ = await self._ask(
            scope, space, ask, lambda: self._database.vocabulary(scope, space, texts, most_corrected)
        )
        return found

    async def baseline(self, tenant_id: int, space: StoredSpace | None) -> CosineBaseline:
        """See `ToolIndex`: the vectors are PostgreSQL's."""
        return await self._database.baseline(tenant_id, space)

    async def signals(self, scope: SearchScope, space: StoredSpace | None, queries: Sequence[ParsedQuery]) -> Signals:
        """See `ToolIndex`."""

        async def ask(stored: StoredSpace, narrowed: ScopeFilter) -> Signals:
            terms = {term for query in queries for term in query.terms}
            if max(len(query.terms) for query in queries) > _MAX_TERMS:
                raise _AskDatabaseError
            counted = await self._count(scope, stored, narrowed, terms)
            if not counted.tools:
                raise _AskDatabaseError
            baseline = await self._database.baseline(scope.tenant_id, stored)
            measuring = ScopeMeasurement(self._client, counted, queries, baseline, self._exact_tools, self._depth)
            measured = await measuring.signals()
            if not measuring.is_decided:
                raise _AskDatabaseError
            return await self._stale.measured_anew(
                scope.tenant_id, stored, queries, measured, measuring.checksums, baseline
            )

        signals, notice = await self._ask(scope, space, ask, lambda: self._database.signals(scope, space, queries))
        return replace(signals, notice=notice) if notice else signals

    async def named(self, scope: SearchScope, space: StoredSpace | None, name: str) -> list[int]:
        """See `ToolIndex`."""
        return await self._database.named(scope, space, name)

    async def cards(
        self, scope: SearchScope, space: StoredSpace | None, tool_ids: Collection[int]
    ) -> Mapping[int, ToolCard]:
        """See `ToolIndex`."""
        return await self._database.cards(scope, space, tool_ids)

    async def prepare(self, space: StoredSpace) -> None:
        """See `ToolIndex`: until the cluster holds the space, for as long as that may take."""
        await self._database.prepare(space)
        with contextlib.suppress(OpenSearchError), anyio.move_on_after(_PREPARE_SECONDS):
            while True:
                with contextlib.suppress(OpenSearchIndexMissingError):
                    await self._client.request("GET", url_path(space_alias(self._client.settings, space.id)))
                    return
                await anyio.sleep(_LOOK_SECONDS)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._database.aclose()
        await self._client.aclose()

    async def _count(
        self, scope: SearchScope, space: StoredSpace, narrowed: ScopeFilter, terms: Collection[str]
    ) -> Scope:
        """The scope with the frequencies of these terms; from what was counted before where that holds."""
        index = space_alias(self._client.settings, space.id)
        key = (index, narrowed.key)
        routing = str(scope.tenant_id)
        corpus = self._corpora.get(key)
        frequencies = dict(self._terms.known(key, corpus))
        missing = sorted(set(terms) - frequencies.keys())
        if corpus is None:
            # The terms in the same search: both are of one moment.
            bodies = [corpus_body(narrowed.clauses, missing), version_body(narrowed.tenant)]
            bodies += [corpus_body(narrowed.of_any_category)] if scope.category is not None else []
            answers = await self._client.search_each(index, bodies, routing=routing)
            tools, mean_length = read_corpus(answers[0])
            corpus = ScopeCorpus(tools, mean_length, read_version(answers[1]))
            there = tools if scope.category is None else read_corpus(answers[2])[0]
            self._check_lag(scope, index, narrowed, there, corpus.version)
            self._corpora[key] = corpus
            self._terms.add(key, corpus, read_frequencies(answers[0], missing))
            frequencies = dict(self._terms.known(key, corpus))
            # What was known of other tools.
            missing = sorted(set(terms) - frequencies.keys())
        if missing:
            (answer,) = await self._client.search_each(
                index, [frequencies_body(narrowed.clauses, missing)], routing=routing
            )
            counted = read_frequencies(answer, missing)
            self._terms.add(key, corpus, counted)
            frequencies.update(counted)
        return Scope(index, routing, narrowed.clauses, corpus.tools, corpus.mean_length, frequencies)

    def _check_lag(self, scope: SearchScope, index: str, narrowed: ScopeFilter, there: int, version: int) -> None:
        """Raises OpenSearchIndexMissingError where the cluster lacks half of the tools in scope, or for a while any
        that PostgreSQL has, or what changed in them; `there` are in the cluster, at this `version` of the catalogue."""
        lacking = self._lag.seconds((index, hash(narrowed.key)), narrowed.documents, there)
        behind = self._lag.seconds((index, scope.tenant_id), narrowed.version, version)
        if there < _LEAST_SHARE * narrowed.documents or lacking > _LAG_SECONDS:
            raise OpenSearchIndexMissingError(
                f"Of {narrowed.documents} tools {there} are in the search cluster yet",
                "the others are written in the background; see modelgate index status",
            )
        if behind > _LAG_SECONDS:
            raise OpenSearchIndexMissingError(
                f"What changed {behind:.0f} s ago is not in the search cluster yet",
                "it is written in the background; see modelgate index status for what keeps it",
            )

    async def _ask(
        self,
        scope: SearchScope,
        space: StoredSpace | None,
        ask: Callable[[StoredSpace, ScopeFilter], Awaitable[ResultT]],
        database: Callable[[], Awaitable[ResultT]],
    ) -> tuple[ResultT, str]:
        """The answer of the cluster, or that of PostgreSQL with what is to be said of it."""

        async def ask_database() -> ResultT:
            self.asked["postgresql"] += 1
            return await database()

        narrowed = None if space is None else await self._filters.filter_of(scope)
        if space is None or narrowed is None or not narrowed.documents:
            return await ask_database(), ""
        attempt = self._faults.begin(space.id, scope.tenant_id)
        if attempt.refusal:
            return await ask_database(), _notice(attempt.refusal)
        try:
            with reading_answers():
                answer = await ask(space, narrowed)
        except _AskDatabaseError:
            return await ask_database(), ""
        except OpenSearchIndexMissingError as error:
            # It costs next to nothing to find out.
            attempt.missed()
            return await ask_database(), _notice(error.message)
        except OpenSearchError as error:
            attempt.failed(error)
            return await ask_database(), _notice(error.message)
        finally:
            attempt.end()
        attempt.answered()
        self.asked["opensearch"] += 1
        return answer, ""


def _notice(failure: str) -> str:
    return f"The search cluster does not answer, PostgreSQL does: {failure}"
