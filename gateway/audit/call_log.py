"""What a call, a search or any other use of an upstream server leaves in the audit log, gathered while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from mcp.shared.exceptions import MCPError
from typing_extensions import Self

from gateway.audit.events import AuditedCaller, AuditEvent, GuardDecision, ToolUse, UseOutcome
from gateway.audit.recorder import AuditRecorder
from gateway.audit.result_head import result_head
from gateway.database.actor import Actor
from gateway.errors import ModelGateError
from gateway.telemetry.metrics import Metrics

UseAction = Literal[
    "tool.call",
    "tool.search",
    "prompt.get",
    "resource.read",
    "resource.subscribe",
    "task.subscribe",
    "completion.complete",
]


class LoggedUse:
    """One use under way: whoever runs it says what becomes of it. Recorded when it is left."""

    def __init__(
        self,
        recorder: AuditRecorder,
        metrics: Metrics,
        action: UseAction,
        caller: AuditedCaller,
        target: str,
        arguments: Mapping[str, Any] | None,
    ) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._action = action
        self._caller = caller
        self._arguments = arguments
        self._target = target
        self._outcome: UseOutcome = "failed" if action == "tool.search" else "unknown"
        self._error: str | None = None
        self._server_id: int | None = None
        self._server_name: str | None = None
        self._tool_id: int | None = None
        self._results: int | None = None
        self._found: tuple[int, ...] = ()
        self._result: tuple[str, ...] = ()
        self._guards: tuple[GuardDecision, ...] = ()
        self._is_started = False
        self._person = caller.audited_person
        self._started_at = time.time()
        self._start_clock = time.perf_counter()

    async def __aenter__(self) -> Self:
        """Raises AuditUnavailableError where what cannot be recorded may not be done."""
        self._recorder.require_writable()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raises AuditUnavailableError for a search that could not be recorded, where it has to be."""
        if isinstance(error, MCPError | ModelGateError):
            self._error = error.message
        elif isinstance(error, asyncio.CancelledError):
            self.set_outcome("failed", "The client left before the answer came.")
        elif error is not None:
            self.set_outcome("failed", "An internal error; the gateway's log says more.")
        event = self._finished((time.perf_counter() - self._start_clock) * 1000)
        self._measure(event.duration_ms / 1000)
        if self._recorder.fail_closed and self._action == "tool.search" and error is None:
            # Nothing goes out for a search, so that it is its answer that waits.
            await self._recorder.record_durably(event)
        else:
            self._recorder.record(event)

    async def start(self) -> None:
        """To be awaited before anything goes out to a server: with `audit.fail_closed` it returns once the trace holds
        what is about to be done, which no crash takes out of it. Raises AuditUnavailableError where it does not.
        """
        if self._recorder.fail_closed and not self._is_started:
            await self._recorder.record_durably(self._event("started", 0.0, {}))
            self._is_started = True

    def set_outcome(self, outcome: UseOutcome, error: str | None = None) -> None:
        """How it came out, and what went wrong if anything did."""
        self._outcome, self._error = outcome, error

    def exclude(self, seconds: float) -> None:
        """So much of the time since it began is not the use's own: it waited for a person."""
        self._start_clock += seconds

    def set_result(self, result: Mapping[str, Any]) -> None:
        """What the tool answered; where it says that it failed, that says what went wrong."""
        failed = bool(result.get("isError"))
        self._outcome = "tool error" if failed else "ok"
        if failed or self._recorder.keeps_every_result:
            self._result = result_head(result)

    def set_tool(self, tool_id: int, server_id: int, server_name: str) -> None:
        """The call goes to this tool; it counts as failed until something else is said."""
        self._tool_id, self._server_id, self._server_name = tool_id, server_id, server_name
        self._outcome = "failed"

    def set_server(self, name: str) -> None:
        """It goes to this server; it counts as failed until something else is said."""
        self._server_name = name
        self._outcome = "failed"

    def set_person(self, person: str) -> None:
        """Who is behind it, where the caller does not say."""
        self._person = person or self._person

    def set_arguments(self, arguments: Mapping[str, Any]) -> None:
        """What is recorded in place of the arguments that were given."""
        self._arguments = arguments

    def set_target(self, target: str) -> None:
        """What is recorded in place of the name or address that was given."""
        self._target = target

    def add_guards(self, decisions: Sequence[GuardDecision]) -> None:
        """What guards did about it."""
        self._guards += tuple(decisions)

    def set_queries(self, queries: Sequence[str]) -> None:
        """What is searched for."""
        self._target = " | ".join(queries)

    def set_results(self, total: int, tool_ids: Sequence[int]) -> None:
        """The search found `total` tools and returns these."""
        self._results, self._found = total, tuple(tool_ids)
        self._outcome = "ok"

    def _measure(self, seconds: float) -> None:
        if self._action == "tool.call":
            self._metrics.observe_call(self._server_name, self._outcome, seconds)
        elif self._action == "tool.search":
            self._metrics.observe_search(self._outcome, self._results or 0, seconds)
        else:
            self._metrics.observe_use(self._action, self._outcome, seconds)

    def _finished(self, duration_ms: float) -> ToolUse | AuditEvent:
        if self._action not in ("tool.call", "tool.search"):
            named = {"server": self._server_name, "person": self._person or None, "error": self._error}
            details: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
            if self._guards:
                details["guards"] = [decision.as_json() for decision in self._guards]
            return self._event(self._outcome, duration_ms, details)
        return ToolUse(
            kind="call" if self._action == "tool.call" else "search",
            caller=self._caller,
            target=self._target,
            outcome=self._outcome,
            at=self._started_at,
            duration_ms=duration_ms,
            server_id=self._server_id,
            tool_id=self._tool_id,
            arguments=self._arguments,
            results=self._results,
            found=self._found,
            error=self._error,
            result=self._result,
            guards=self._guards,
            person=self._person,
        )

    def _event(
        self, outcome: UseOutcome | Literal["started"], duration_ms: float, details: Mapping[str, Any]
    ) -> AuditEvent:
        caller = self._caller
        return AuditEvent(
            Actor("key", caller.key_name, caller.key_id, address=caller.address),
            self._action,
            self._target,
            outcome,
            caller.tenant_id,
            duration_ms,
            details,
            self._started_at,
            role_ids=caller.role_ids,
            arguments=self._arguments,
        )


class CallLog:
    """Records and measures calls, searches, and whatever else goes out to a server for a client."""

    def __init__(self, recorder: AuditRecorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    def call(self, caller: AuditedCaller, name: str, arguments: Mapping[str, Any]) -> LoggedUse:
        """To be entered around a call of what goes by `name`, which is unknown until something else is said."""
        return LoggedUse(self._recorder, self._metrics, "tool.call", caller, name, arguments)

    def search(self, caller: AuditedCaller) -> LoggedUse:
        """To be entered around a search."""
        return LoggedUse(self._recorder, self._metrics, "tool.search", caller, "", None)

    def use(self, caller: AuditedCaller, action: UseAction, target: object, arguments: object = None) -> LoggedUse:
        """To be entered around any other use of what goes by `target`, unknown until something else is said."""
        given = arguments if isinstance(arguments, Mapping) else None
        return LoggedUse(self._recorder, self._metrics, action, caller, str(target), given)
