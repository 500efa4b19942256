"""The guards of a tenant, gone through one after the other."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.audit.events import GuardDecision, GuardVerdict
from gateway.errors import GuardError, ModelGateError
from gateway.guards.builtin.schema import problem_of_result
from gateway.guards.builtin.schemas import SchemaStore
from gateway.guards.content import Content, GuardedUse
from gateway.guards.inspection import NOTHING_FOUND, Change, Guard, Inspection, QuickGuard
from gateway.guards.rule import GuardRule, Stage
from gateway.linear_pattern import LinearPattern
from gateway.masking import MASK

logger = logging.getLogger(__name__)

# What takes longer than a moment is looked at beside the event loop.
_LARGE_CHARACTERS = 64 * 1024
_SUBJECTS: dict[Stage, str] = {"arguments": "the arguments", "result": "the contents of the result"}


class GuardMetrics(Protocol):
    """Counts and times what guards do."""

    def observe_guard(self, guard: str, verdict: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class GuardOutcome:
    """What has become of content: its `value` now, and why it goes no further, as a sentence, where it does not.

    `audited` is the value that may be recorded, without what guards that only observe, or that refuse, have found.
    """

    value: Any
    audited: Any
    decisions: tuple[GuardDecision, ...] = ()
    refusal: str | None = None


class ActiveGuard:
    """A rule with its guard, which is `quick`, or `slow`, or could not be built for the reason `broken`.

    One that `keeps_time` sees to it itself that it takes no longer than its budget, and raises asyncio.TimeoutError.
    """

    def __init__(
        self,
        rule: GuardRule,
        *,
        quick: QuickGuard | None = None,
        slow: Guard | None = None,
        keeps_time: bool = False,
        broken: GuardError | None = None,
    ) -> None:
        self.rule = rule
        self.quick = quick
        self.slow = slow
        self.keeps_time = keeps_time
        self.broken = broken
        self._pattern = None if rule.pattern is None else _compile(rule.pattern)

    def applies(self, use: GuardedUse, stage: Stage) -> bool:
        """Whether the rule is about this use at this stage."""
        rule = self.rule
        return (
            stage in rule.stages
            and use.subject in rule.subjects
            and (rule.server_id is None or rule.server_id == use.server_id)
            and (rule.role_id is None or rule.role_id in use.role_ids)
            and (rule.category is None or rule.category == use.category)
            and (self._pattern is None or self._pattern.find(use.target) is not None)
        )


@dataclass(frozen=True, slots=True)
class _Act:
    """What is done about what a guard has found."""

    verdict: GuardVerdict
    change: Change | None = None
    refusal: str | None = None


class GuardChain:
    """The guards of one tenant that are in force, in order."""

    def __init__(self, guards: Sequence[ActiveGuard], schemas: SchemaStore, metrics: GuardMetrics) -> None:
        self._guards = guards
        self._schemas = schemas
        self._metrics = metrics

    def __bool__(self) -> bool:
        return bool(self._guards)

    def applies(self, use: GuardedUse, stage: Stage) -> bool:
        """Whether any of them is about this use at this stage."""
        return any(active.applies(use, stage) for active in self._guards)

    async def check(self, use: GuardedUse, stage: Stage, value: Any) -> GuardOutcome:
        """What becomes of the arguments or the result of a use. Never raises for what a guard does."""
        content, audited = Content(use, stage, value), value
        decisions: list[GuardDecision] = []
        # Those that have found what is still in the content.
        unheeded: list[ActiveGuard] = []
        for active in self._guards:
            if not active.applies(use, stage):
                continue
            started = time.perf_counter()
            try:
                inspection = await self._inspect(active, content)
                act = await self._act(active.rule, inspection, content)
                audited = _audited(active, content, inspection, audited, unheeded)
            except GuardError as error:
                inspection, act = NOTHING_FOUND, _failed(active.rule, stage, error)
            self._metrics.observe_guard(active.rule.guard, act.verdict, time.perf_counter() - started)
            if act.verdict != "passed":
                rule = active.rule
                decisions.append(GuardDecision(rule.name, rule.guard, stage, act.verdict, inspection.count))
            if act.refusal is not None:
                return GuardOutcome(content.value, audited, tuple(decisions), act.refusal)
            if act.change is not None:
                content = Content(use, stage, act.change.value)
            elif inspection.change is not None:
                unheeded.append(active)
        return GuardOutcome(content.value, audited, tuple(decisions))

    async def _inspect(self, active: ActiveGuard, content: Content) -> Inspection:
        """Raises GuardError for a guard that failed, whatever kept it from its work."""
        seconds = active.rule.budget_ms / 1000
        if active.broken is not None:
            raise active.broken
        started = time.perf_counter()
        try:
            if active.slow is not None:
                inspecting = active.slow.inspect(content)
                inspection = await (inspecting if active.keeps_time else asyncio.wait_for(inspecting, seconds))
            else:
                assert active.quick is not None
                inspection = await _inspect_quickly(active.quick, content, seconds)
        except (asyncio.TimeoutError, TimeoutError):
            raise _overdue(active.rule) from None
        except GuardError:
            raise
        except ModelGateError as error:
            raise GuardError(error.message.rstrip(".")) from None
        except Exception as error:
            logger.exception("The guard %s of tenant %s broke down.", active.rule.name, content.use.tenant_id)
            raise GuardError("it broke down; the gateway's log says more") from error
        if time.perf_counter() - started > seconds and not active.keeps_time:
            raise _overdue(active.rule)
        return inspection

    async def _act(self, rule: GuardRule, inspection: Inspection, content: Content) -> _Act:
        """What is done about what was found. Raises GuardError for a change that the rule does not allow."""
        change = inspection.change
        if not inspection.count:
            return _Act("passed")
        if rule.action == "observe":
            return _Act("observed")
        if inspection.decided and change is not None and rule.action == "deny":
            raise GuardError("it changed what it may only let through or refuse")
        if rule.action == "deny" or change is None:
            return _Act("denied", refusal=_refusal(rule, content.stage, inspection.what))
        problem = await self._problem_of_change(content, change)
        if problem is not None:
            return _Act("denied", refusal=_refusal(rule, content.stage, f"were changed by it, and then {problem}"))
        return _Act("masked", change)

    async def _problem_of_change(self, content: Content, change: Change) -> str | None:
        """What a changed result breaks that its tool has promised; None where that is nothing."""
        use = content.use
        if content.stage == "arguments" or use.tool_id is None:
            return None
        try:
            schema = (await self._schemas.get(use.tenant_id, use.tool_id)).result
            problem = problem_of_result(change.value, schema)
        except GuardError:
            # A schema that nobody can read is broken already.
            return None
        except ModelGateError as error:
            raise GuardError(error.message.rstrip(".")) from None
        return None if problem is None else f"do not fit the tool's outputSchema: {problem}"


async def _inspect_quickly(guard: QuickGuard, content: Content, seconds: float) -> Inspection:
    """Beside the event loop where it takes longer than a moment. Raises asyncio.TimeoutError after so many seconds."""
    if len(content.text) <= _LARGE_CHARACTERS:
        return guard.inspect_now(content)
    return await asyncio.wait_for(asyncio.to_thread(guard.inspect_now, content), seconds)


def _audited(
    active: ActiveGuard, content: Content, inspection: Inspection, audited: Any, unheeded: Sequence[ActiveGuard]
) -> Any:
    """What may be recorded: content without what the guard has found, and those before it that are `unheeded`."""
    if inspection.change is None:
        return audited
    if audited is content.value:
        return inspection.change.value
    if active.quick is not None:
        return _without(active.quick, content, audited)
    # Nobody asks a guard of others once more, so what it has left is what the former guards look at again.
    left = inspection.change.value
    for former in unheeded:
        if former.quick is None:
            return {MASK: MASK}
        left = _without(former.quick, content, left)
    return left


def _without(guard: QuickGuard, content: Content, value: Any) -> Any:
    found = guard.inspect_now(Content(content.use, content.stage, value))
    return value if found.change is None else found.change.value


def _failed(rule: GuardRule, stage: Stage, error: GuardError) -> _Act:
    if rule.fail == "open":
        return _Act("failed")
    consequence = "the call was not made" if stage == "arguments" else "what the server answered is withheld"
    return _Act(
        "failed",
        refusal=f"The guard {rule.name} could not judge {_SUBJECTS[stage]} ({error.message}), so {consequence}; "
        "try again, or tell the gateway's administrator.",
    )


def _refusal(rule: GuardRule, stage: Stage, what: str) -> str:
    if stage == "arguments":
        return f"The guard {rule.name} has refused the call: {_SUBJECTS[stage]} {what}; change them and call again."
    return f"The guard {rule.name} withholds what the server answered: {_SUBJECTS[stage]} {what}."


def _overdue(rule: GuardRule) -> GuardError:
    return GuardError(f"it took longer than the {rule.budget_ms:,} ms it may")


def _compile(pattern: str) -> LinearPattern:
    """A pattern in which `*` stands for any characters, over whole names, without regard to case."""
    literal = ".*".join(re.escape(part) for part in pattern.split("*"))
    return LinearPattern(rf"(?is)\A{literal}\z")
