"""Sequences of asking, deciding, using and expiring: whatever comes after what, a call goes out for one approval."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.components import Components
from gateway.errors import ConflictError
from gateway.guards.approval.call_approval import CallApproval, Decision
from gateway.guards.approval.call_approvals import CallApprovals
from tests.guards.approval.asked_calls import ADA, AskedTool, asked_tool, expire, key_caller

T = TypeVar("T")

SEARCH = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
ENDED = ("used", "expired", "withdrawn", "denied")


class Sequences(RuleBasedStateMachine):
    """What is true of each approval, told from the steps alone: two processes take the steps in turn."""

    def __init__(self, processes: tuple[CallApprovals, CallApprovals], bank: AskedTool, url: str, example: int) -> None:
        super().__init__()
        self._processes = processes
        self._bank = bank
        self._url = url
        self._caller = key_caller(example, f"agent {example}")
        self._allowed: set[str] = set()
        self._used: set[str] = set()
        self._states: dict[str, str] = {}

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return anyio.from_thread.run(work, *arguments)

    def _known(self, data: st.DataObject) -> CallApproval:
        approval_id = data.draw(st.sampled_from(list(self._states)))
        return self._run(self._processes[0].get, 1, approval_id)

    @rule(process=st.sampled_from((0, 1)))
    def ask(self, process: int) -> None:
        approval = self._run(self._bank.ask, self._processes[process], self._caller, {"amount": 1})
        before = self._states.get(approval.id)
        assert before not in ("used", "expired", "withdrawn")
        assert before == approval.state or (before is None and approval.state == "asked")
        self._states[approval.id] = approval.state

    @precondition(lambda self: self._states)
    @rule(data=st.data(), process=st.sampled_from((0, 1)), decision=st.sampled_from(("approved", "denied")))
    def decide(self, data: st.DataObject, process: int, decision: Decision) -> None:
        approval = self._known(data)
        try:
            self._run(self._processes[process].decide, 1, approval.id, ADA, decision)
        except ConflictError:
            assert self._states[approval.id] != "asked"
            return
        assert self._states[approval.id] == "asked"
        self._states[approval.id] = decision
        if decision == "approved":
            self._allowed.add(approval.id)

    @precondition(lambda self: self._states)
    @rule(data=st.data(), process=st.sampled_from((0, 1)))
    def use(self, data: st.DataObject, process: int) -> None:
        approval = self._known(data)
        let_through = self._run(self._processes[process].consume, approval)
        assert let_through == (self._states[approval.id] == "approved")
        if let_through:
            assert approval.id in self._allowed
            assert approval.id not in self._used
            self._used.add(approval.id)
            self._states[approval.id] = "used"

    @precondition(lambda self: self._states)
    @rule(data=st.data())
    def let_expire(self, data: st.DataObject) -> None:
        approval = self._known(data)
        self._run(expire, self._url, approval.id)
        if self._states[approval.id] in ("asked", "approved"):
            self._states[approval.id] = "expired"
        elif self._states[approval.id] == "denied":
            # It is denied for good, and stands in nobody's way.
            self._states[approval.id] = "denied"

    @precondition(lambda self: self._states)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        approval = self._known(data)
        if approval.state == "expired":
            return
        self._run(self._processes[1].withdraw, approval)
        if self._states[approval.id] in ("asked", "approved"):
            self._states[approval.id] = "withdrawn"

    @invariant()
    def every_approval_is_as_the_steps_say(self) -> None:
        for approval_id, state in self._states.items():
            assert self._run(self._processes[1].get, 1, approval_id).state == state
        assert self._used <= self._allowed


async def test_a_call_goes_out_for_one_approval_whatever_comes_after_what(
    parts: Components, tmp_path: Path, database_url: str
) -> None:
    bank = await asked_tool(parts, tmp_path)
    processes = (parts.approvals, CallApprovals(parts.database, parts.vault, parts.settings.approval))
    examples = iter(range(1, 1_000_000))

    class SequencesOfBank(Sequences):
        def __init__(self) -> None:
            super().__init__(processes, bank, database_url, next(examples))

    await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(SequencesOfBank, settings=SEARCH))
