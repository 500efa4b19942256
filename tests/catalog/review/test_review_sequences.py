"""Sequences of syncs, judgements and rollbacks: whatever comes after what, no tool slips out of quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.components import Components
from gateway.errors import ConflictError
from tests.catalog.review.reviewed_server import (
    DEFINITIONS,
    DESCRIPTIONS,
    TOOLS,
    Poisoning,
    ReviewedServer,
    ReviewedTool,
    reviewed_server,
)
from tests.support.thoroughness import cases

T = TypeVar("T")

SEARCH = settings(
    max_examples=cases(20, 60),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
POISONINGS: st.SearchStrategy[Poisoning] = st.sampled_from(["quarantine", "flag", "off"])
ON_CHANGE = st.sampled_from(["accept", "flag", "quarantine"])
LISTINGS = st.dictionaries(st.sampled_from(TOOLS), st.sampled_from(sorted(DESCRIPTIONS)))


class Judgements(RuleBasedStateMachine):
    """What holds between any two steps, told from the steps alone.

    `approved` holds by tool the definitions that a person approved, `cleared` these and those that were taken on trust;
    in neither stays what was quarantined since.
    """

    def __init__(self, server: ReviewedServer) -> None:
        super().__init__()
        self._server = server
        self._on_change = ""
        self._synced = False
        self._pinned = False
        self._approved: defaultdict[str, set[bytes]] = defaultdict(set)
        self._cleared: defaultdict[str, set[bytes]] = defaultdict(set)

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return anyio.from_thread.run(work, *arguments)

    def _stored(self) -> dict[str, ReviewedTool]:
        return self._run(self._server.stored)

    def _listed(self) -> dict[str, ReviewedTool]:
        return {name: stored for name, stored in self._stored().items() if not stored.removed}

    @initialize(on_change=ON_CHANGE)
    def begin(self, on_change: str) -> None:
        self._run(self._server.add)
        self.set_on_change(on_change)

    def teardown(self) -> None:
        self._run(self._server.remove)

    @rule(listing=LISTINGS, poisoning=POISONINGS)
    def sync(self, listing: Mapping[str, str], poisoning: Poisoning) -> None:
        before = self._stored()
        self._run(self._server.sync, listing, poisoning)
        after = self._stored()
        if self._pinned:
            assert after == before
            return
        assert {name: now.variant for name, now in after.items() if not now.removed} == listing
        for name, now, was in self._judged(before, after, poisoning):
            on_trust = self._on_change == "accept" or (was is None and (self._on_change == "flag" or not self._synced))
            if not now.quarantined and now.content_hash not in self._cleared[name]:
                assert on_trust or self._on_change == "flag"
            if not (was and was.quarantined) and now.variant != "poisoned":
                assert not now.quarantined or self._on_change == "quarantine"
            self._note(name, now, on_trust=on_trust)
        self._synced = True

    @rule(poisonings=st.lists(POISONINGS, min_size=1, max_size=3))
    def delist_and_relist(self, poisonings: list[Poisoning]) -> None:
        listing = {name: stored.variant for name, stored in self._stored().items()}
        for poisoning in poisonings:
            self.sync({}, poisoning)
            self.sync(listing, poisoning)

    @precondition(lambda self: self._synced)
    @rule(data=st.data(), poisoning=POISONINGS, stays=st.booleans())
    def roll_back(self, data: st.DataObject, poisoning: Poisoning, stays: bool) -> None:
        versions = self._run(self._server.versions)
        if not versions:
            return
        before = self._stored()
        self._run(self._server.roll_back, data.draw(st.sampled_from(versions)), poisoning)
        for name, now, was in self._judged(before, self._stored(), poisoning):
            if not (was and was.quarantined) and now.variant != "poisoned":
                assert not now.quarantined
            self._note(name, now, on_trust=True)
        self._pinned = True
        if not stays:
            # Nothing happens at the syncs of a pinned server.
            self.unpin()

    @precondition(lambda self: self._pinned)
    @rule()
    def unpin(self) -> None:
        self._run(self._server.unpin)
        self._pinned = False

    @precondition(lambda self: self._listed())
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        before = self._stored()
        name = data.draw(st.sampled_from(sorted(self._listed())))
        seen = DEFINITIONS[name, data.draw(st.sampled_from(sorted(DESCRIPTIONS)))].content_hash
        if seen == before[name].content_hash:
            assert self._run(self._server.approve, name, seen) == [name]
            self._approve(name)
            return
        with pytest.raises(ConflictError):
            self._run(self._server.approve, name, seen)
        assert self._stored() == before

    @rule()
    def approve_all_that_wait(self) -> None:
        waiting = {name for name, stored in self._listed().items() if stored.quarantined}
        approved = set(self._run(self._server.approve))
        assert waiting <= approved
        for name in approved:
            self._approve(name)

    @precondition(lambda self: self._listed())
    @rule(data=st.data())
    def quarantine(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self._listed())))
        self._run(self._server.quarantine, name)
        assert self._stored()[name].quarantined
        self._cleared[name].clear()
        self._approved[name].clear()

    @rule(on_change=ON_CHANGE)
    def set_on_change(self, on_change: str) -> None:
        before = self._stored()
        self._run(self._server.set_on_change, on_change)
        self._on_change = on_change
        assert self._stored() == before

    @invariant()
    def what_is_offered_is_listed_and_not_quarantined(self) -> None:
        for name, stored in self._stored().items():
            assert stored.offered == (not stored.removed and not stored.quarantined)
            assert stored.approved_by != "person" or stored.approved_hash in self._approved[name]

    def _judged(
        self, before: Mapping[str, ReviewedTool], after: Mapping[str, ReviewedTool], poisoning: Poisoning
    ) -> list[tuple[str, ReviewedTool, ReviewedTool | None]]:
        """The tools that are not as they were, each as it is and was; what holds for all of them is checked."""
        judged = []
        for name, now in after.items():
            was = before.get(name)
            if now.removed or (was and not was.removed and was.content_hash == now.content_hash):
                assert was is not None
                assert (now.quarantined, now.approved_hash, now.approved_by) == (
                    was.quarantined,
                    was.approved_hash,
                    was.approved_by,
                )
                continue
            if was is not None and was.quarantined and not now.quarantined:
                assert now.content_hash in self._cleared[name], f"{name} has slipped out of quarantine"
            if now.variant == "poisoned" and poisoning == "quarantine":
                assert now.quarantined or now.content_hash in self._approved[name], f"{name} was let in poisoned"
            judged.append((name, now, was))
        return judged

    def _note(self, name: str, now: ReviewedTool, *, on_trust: bool) -> None:
        if now.quarantined:
            self._cleared[name].discard(now.content_hash)
            self._approved[name].discard(now.content_hash)
        elif on_trust:
            self._cleared[name].add(now.content_hash)

    def _approve(self, name: str) -> None:
        stored = self._stored()[name]
        assert not stored.quarantined
        assert (stored.approved_hash, stored.approved_by) == (stored.content_hash, "person")
        self._cleared[name].add(stored.content_hash)
        self._approved[name].add(stored.content_hash)


@pytest.fixture
async def server(parts: Components) -> AsyncIterator[ReviewedServer]:
    async with reviewed_server(parts) as opened:
        yield opened


async def test_no_sequence_of_judgements_lets_a_tool_out_of_quarantine(server: ReviewedServer) -> None:
    class JudgementsOfServer(Judgements):
        def __init__(self) -> None:
            super().__init__(server)

    await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(JudgementsOfServer, settings=SEARCH))


async def quarantined(server: ReviewedServer) -> bool:
    """Whether the tool "convert" is hidden."""
    return (await server.stored())["convert"].quarantined


async def relist(server: ReviewedServer, variant: str, poisoning: Poisoning = "quarantine") -> None:
    """Have the tool go and come back."""
    await server.sync({}, poisoning)
    await server.sync({"convert": variant}, poisoning)


async def test_what_a_person_approved_once_says_nothing_of_what_was_accepted_since(server: ReviewedServer) -> None:
    await server.add()
    await server.set_on_change("accept")
    await server.sync({"convert": "plain"})
    await server.approve("convert")
    await server.sync({"convert": "poisoned"})
    assert await quarantined(server)
    await relist(server, "poisoned")
    assert await quarantined(server)
    await server.sync({"convert": "plain"})
    assert not await quarantined(server)


async def test_a_looser_policy_lets_out_nothing_that_waits(server: ReviewedServer) -> None:
    await server.add()
    await server.set_on_change("quarantine")
    await server.sync({"convert": "plain"})
    await server.sync({"convert": "other"})
    for on_change in ("flag", "accept"):
        await server.set_on_change(on_change)
        await relist(server, "other")
        assert await quarantined(server)


async def test_a_scan_that_is_switched_off_lets_out_nothing_that_it_found(server: ReviewedServer) -> None:
    await server.add()
    await server.sync({"convert": "poisoned"}, "flag")
    assert not await quarantined(server)
    await relist(server, "poisoned")
    assert await quarantined(server)
    await relist(server, "poisoned", "off")
    assert await quarantined(server)
    await server.sync({"convert": "other"}, "off")
    await server.sync({"convert": "poisoned"}, "off")
    assert await quarantined(server)


async def test_a_rollback_brings_back_nothing_that_was_quarantined(server: ReviewedServer) -> None:
    await server.add()
    await server.sync({"convert": "poisoned", "paint": "plain"})
    await server.sync({"convert": "plain", "paint": "other"})
    assert await quarantined(server)
    await server.approve("convert")
    await server.roll_back(1)
    assert await quarantined(server)
    assert not (await server.stored())["paint"].quarantined


async def test_a_server_that_listed_nothing_at_first_is_new_no_longer(server: ReviewedServer) -> None:
    await server.add()
    await server.set_on_change("quarantine")
    await server.sync({})
    await server.sync({"convert": "plain"})
    assert await quarantined(server)


async def test_what_was_hidden_by_hand_stays_so_with_every_definition_that_was_approved_before(
    server: ReviewedServer,
) -> None:
    await server.add()
    await server.sync({"convert": "plain"})
    await server.approve("convert")
    await server.sync({"convert": "other"})
    await server.quarantine("convert")
    for variant in ("plain", "poisoned", "plain", "other"):
        await server.sync({"convert": variant})
        assert await quarantined(server)
    await server.approve("convert", DEFINITIONS["convert", "other"].content_hash)
    assert not await quarantined(server)
