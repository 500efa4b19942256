"""Callers of two tenants search, call, are let see more or less, and what they said is forgotten, in any order.

Whatever comes: what a tool has learnt is what was said of it in its own tenant and is not forgotten, and a search looks
at nothing but what its caller may see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio.from_thread
import anyio.to_thread
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.access.roles import refresh_visibility
from gateway.access.tenants import create_tenant
from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.database.notices import Notices
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.tool_index import SearchScope
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.forgetting import ForgetScope, Forgetting
from gateway.search.learning.learner import Learner
from gateway.search.learning.learnt_vector import WeightedExample, learn_vector
from gateway.search.learning.usage.pair_store import EmbeddedPair, PairStore, QueryToolPair
from gateway.search.query.parsed_query import ParsedQuery
from gateway.search.ranking import Floats
from gateway.settings import Settings
from tests.support.indexed_catalogue import (
    TENANT,
    CataloguedTool,
    FixedSpaces,
    IndexedCatalogue,
    indexed_catalogue,
)
from tests.support.rows import rows, value

RULES = ExampleRules("on")
TOOLS = ("farm__feed", "sea__sail")
ACCOUNTS = ("key 1", "key 2")
BASE = np.array([1, 0, 0, 0], np.float32)
ONE_WAY, ANOTHER_WAY = "feed it", "give it to it"
TEXTS: dict[str, Floats] = {
    ONE_WAY: np.array([0.6, 0.8, 0, 0], np.float32),
    # Said so, it is the same.
    ANOTHER_WAY: np.array([0.576, 0.768, 0, 0.28], np.float32),
    "sail it": np.array([0.6, 0, 0.8, 0], np.float32),
}
SAME = {ONE_WAY: ANOTHER_WAY, ANOTHER_WAY: ONE_WAY}


class TextSpaces(FixedSpaces):
    """Embeds the known texts as they are meant, and background requests as nothing at all."""

    async def embed_queries_in(self, stored: StoredSpace, texts: Sequence[str]) -> Vectors:
        return np.stack([TEXTS.get(text, np.zeros(4, np.float32)) for text in texts])


@dataclass
class Said:
    """What is known of an example: by whom it was said how often, on which day last, and in which words first; and
    whether an admin gave it.
    """

    text: str
    calls: dict[str, int] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    by_admin: bool = False

    @property
    def has_effect(self) -> bool:
        return self.by_admin or sum(self.calls.values()) >= 3 or len(self.calls) >= 2

    def part(self, account: str) -> float:
        """How much of it, where it was learnt from use, is of an account."""
        is_learnt = self.has_effect and not self.by_admin
        return self.calls.get(account, 0) / sum(self.calls.values()) if is_learnt else 0.0

    def forget(self, account: str) -> None:
        for each in (self.calls, self.days, self.words):
            each.pop(account, None)


@dataclass
class World:
    catalogue: IndexedCatalogue
    tenants: tuple[int, int]
    roles: dict[int, int]
    examples: ToolExamples
    learner: Learner

    def tool(self, tenant: int, name: str) -> int:
        return self.catalogue.ids[name if tenant == TENANT else f"o{name}"]


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with indexed_catalogue(settings) as catalogue:
        database = catalogue.database
        other = await create_tenant(database, "other", "Other")
        for prefix, tenant in (("", TENANT), ("o", other.id)):
            for name in TOOLS:
                server, _, tool = name.partition("__")
                await catalogue.upsert(CataloguedTool(prefix + server, tool, tool), tenant_id=tenant)
        await rows(database.url, "UPDATE tools SET approved_hash = content_hash")
        roles = {}
        for tenant in (TENANT, other.id):
            roles[tenant] = await value(
                database.url,
                "INSERT INTO roles (tenant_id, name, default_visibility) VALUES ($1, 'some', 'SEARCH') RETURNING id",
                tenant,
            )
            async with database.transaction() as transaction:
                await refresh_visibility(transaction, tenant, role_id=roles[tenant])
        spaces = TextSpaces(catalogue.space, catalogue.spaces.store)
        yield World(catalogue, (TENANT, other.id), roles, ToolExamples(database), Learner(database, spaces, RULES))


_tenants, _names, _texts = st.integers(0, 1), st.sampled_from(TOOLS), st.sampled_from(sorted(TEXTS))
_accounts = st.sampled_from(ACCOUNTS)
# Two make an effect at once.
_some_accounts = st.sampled_from(((ACCOUNTS[0],), (ACCOUNTS[1],), ACCOUNTS, ACCOUNTS))


def machine_of(world: World) -> type[RuleBasedStateMachine]:
    database = world.catalogue.database
    run = anyio.from_thread.run

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.said: dict[tuple[int, str], list[Said]] = {
                (tenant, name): [] for tenant in world.tenants for name in TOOLS
            }
            self.cutoffs: set[tuple[int, str | None, str | None]] = set()
            self.hidden: set[tuple[int, str]] = set()
            run(self._clear)

        async def _clear(self) -> None:
            await rows(database.url, "DELETE FROM tool_examples")
            await rows(database.url, "DELETE FROM tool_learning")
            await rows(database.url, "DELETE FROM learnt_embeddings")
            await rows(database.url, "DELETE FROM learning_cutoffs")
            for tenant in world.tenants:
                await self._show(tenant, set())

        async def _show(self, tenant: int, hidden: set[str]) -> None:
            role = world.roles[tenant]
            await rows(database.url, "DELETE FROM role_rules WHERE role_id = $1", role)
            for name in hidden:
                await rows(
                    database.url,
                    "INSERT INTO role_rules (tenant_id, role_id, tool_id, visibility) VALUES ($1, $2, $3, 'DENY')",
                    tenant,
                    role,
                    world.tool(tenant, name),
                )
            async with database.transaction() as transaction:
                await refresh_visibility(transaction, tenant, role_id=role)

        @rule(at=_tenants, name=_names, text=_texts, accounts=_some_accounts, day=st.sampled_from((0, 1, 1, 2)))
        def search_and_call(self, at: int, name: str, text: str, accounts: tuple[str, ...], day: int) -> None:
            """On day 0 it was searched for an hour ago, and is counted only now."""
            for account in accounts:
                self._search_and_call(world.tenants[at], name, text, account, day)

        def _search_and_call(self, tenant: int, name: str, text: str, account: str, day: int) -> None:
            if (tenant, name) in self.hidden:
                return
            moment = datetime.now(timezone.utc) + (timedelta(days=day) if day else timedelta(hours=-1))
            pair = QueryToolPair(tenant, world.tool(tenant, name), account, text, 1.0, moment)
            run(
                PairStore(database, RULES).count,
                tenant,
                [EmbeddedPair(pair, TEXTS[text])],
                world.catalogue.space,
            )
            forgotten = any((tenant, tool, by) in self.cutoffs for tool in (None, name) for by in (None, account))
            if day == 0 and forgotten:
                return
            said = self._example(tenant, name, text) or self._example(tenant, name, SAME.get(text)) or Said(text)
            if said not in self.said[tenant, name]:
                self.said[tenant, name].append(said)
            today = (moment - datetime(2000, 1, 1, tzinfo=timezone.utc)).days
            if said.days.get(account, -1) < today:
                said.days[account] = today
                said.calls[account] = said.calls.get(account, 0) + 1
                said.words.setdefault(account, text)

        def _example(self, tenant: int, name: str, text: str | None) -> Said | None:
            return next((said for said in self.said[tenant, name] if said.text == text), None)

        @rule(at=_tenants, name=_names, texts=st.sampled_from([*SAME.items()]), goes=st.booleans())
        def say_the_same_in_other_words(self, at: int, name: str, texts: tuple[str, str], goes: bool) -> None:
            """And who said it first may be forgotten."""
            for text, account in zip(texts, ACCOUNTS, strict=True):
                self._search_and_call(world.tenants[at], name, text, account, 1)
            if goes:
                self.forget(at=at, name=name, account=ACCOUNTS[0])

        @rule(at=_tenants, name=_names, text=_texts)
        def give_example(self, at: int, name: str, text: str) -> None:
            tenant = world.tenants[at]
            run(world.examples.add, tenant, world.tool(tenant, name), text)
            given = self._example(tenant, name, text)
            if given is None:
                self.said[tenant, name].append(given := Said(text))
            given.by_admin = True

        @rule(at=_tenants, name=st.none() | _names, account=st.none() | _accounts)
        def forget(self, at: int, name: str | None, account: str | None) -> None:
            tenant = world.tenants[at]
            tool = None if name is None else world.tool(tenant, name)
            run(Forgetting(database, world.examples).forget, tenant, ForgetScope(tool, account))
            self.cutoffs.add((tenant, name, account))
            for each in TOOLS if name is None else (name,):
                self._forget(tenant, each, ACCOUNTS if account is None else (account,))
            # At once, before anybody has worked anything out.
            run(self._check, False)

        def _forget(self, tenant: int, name: str, accounts: Sequence[str]) -> None:
            before = self.said[tenant, name]
            there = {said.text for said in before}
            left = self.said[tenant, name] = []
            for said in before:
                for account in accounts:
                    said.forget(account)
                if not said.by_admin and said.text not in said.words.values():
                    # Others said it in other words, which it has from now on, where they are not another example's.
                    if not said.words or SAME[said.text] in there:
                        continue
                    said.text = SAME[said.text]
                left.append(said)

        @rule(at=_tenants, hidden=st.sets(_names))
        def change_rights(self, at: int, hidden: set[str]) -> None:
            tenant = world.tenants[at]
            run(self._show, tenant, hidden)
            self.hidden = {place for place in self.hidden if place[0] != tenant} | {(tenant, name) for name in hidden}

        @invariant()
        def what_is_learnt_is_what_was_said_there_and_is_not_forgotten(self) -> None:
            run(self._check, True)

        async def _check(self, work_out: bool) -> None:
            if work_out:
                await world.learner.refresh_all()
            for tenant in world.tenants:
                for name in TOOLS:
                    await self._check_tool(tenant, name, is_due=work_out)
                await self._check_search(tenant)

        async def _check_tool(self, tenant: int, name: str, *, is_due: bool) -> None:
            (found,) = await rows(
                database.url,
                "SELECT (SELECT l.ranking_embedding::text FROM learnt_embeddings l WHERE l.tool_id = t.id) AS vector, "
                "ARRAY(SELECT x.text FROM tool_examples x WHERE x.tool_id = t.id ORDER BY x.text) AS texts "
                "FROM tools t WHERE t.id = $1",
                world.tool(tenant, name),
            )
            here = self.said[tenant, name]
            assert found["texts"] == sorted(said.text for said in here)
            having = [
                WeightedExample(TEXTS[said.text], 1.0, self._share(said, here)) for said in here if said.has_effect
            ]
            wanted = learn_vector(BASE, having, np.zeros((1, 4), np.float32)) if having else None
            if wanted is None:
                assert found["vector"] is None
            elif is_due or found["vector"] is not None:
                assert found["vector"] is not None
                vector: Any = np.fromstring(found["vector"].strip("[]"), sep=",", dtype=np.float32)
                # Later ones count a little more.
                assert vector @ wanted.vector > 0.99

        def _share(self, said: Said, here: Sequence[Said]) -> float:
            """One account moves a tool no further than by one example."""
            if said.by_admin:
                return 1.0
            return sum(
                said.part(account) / max(sum(each.part(account) for each in here), 1.0) for account in said.calls
            )

        async def _check_search(self, tenant: int) -> None:
            scope = SearchScope(tenant, (world.roles[tenant],))
            index = world.catalogue.memory(Notices(database))
            signals = await index.signals(scope, world.catalogue.space, [ParsedQuery((), BASE)])
            await index.aclose()
            seen = {world.tool(tenant, name) for name in TOOLS if (tenant, name) not in self.hidden}
            assert set(signals.tool_ids.tolist()) == seen

    return Machine


async def test_what_is_learnt_stays_in_its_tenant_and_what_is_forgotten_has_no_effect(world: World) -> None:
    settings = hypothesis_settings(
        # What fails is short enough to be read, and to make it shorter takes minutes.
        phases=[Phase.generate],
        max_examples=6,
        stateful_step_count=14,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(machine_of(world), settings=settings))
