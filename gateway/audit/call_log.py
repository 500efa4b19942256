"""What a call or a search leaves in the audit log, gathered while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from mcp.shared.exceptions import MCPError
from typing_extensions import Self

from gateway.audit.events import AuditedCaller, ToolUse, UseOutcome
from gateway.audit.recorder import AuditRecorder
from gateway.errors import ModelGateError


class LoggedCall:
    """One call or search under way: whoever runs it says what becomes of it. Recorded when it is left."""

    def __init__(
        self,
        recorder: AuditRecorder,
        kind: Literal["call", "search"],
        caller: AuditedCaller,
        target: str,
        arguments: Mapping[str, Any] | None,
    ) -> None:
        self._recorder = recorder
        self._kind = kind
        self._caller = caller
        self._arguments = arguments
        self._target = target
        self._outcome: UseOutcome = "unknown" if kind == "call" else "failed"
        self._error: str | None = None
        self._server_id: int | None = None
        self._tool_id: int | None = None
        self._results: int | None = None
        self._found: tuple[int, ...] = ()
        self._started_at = time.time()
        self._start_clock = time.perf_counter()

    def __enter__(self) -> Self:
        """Raises AuditUnavailableError where what cannot be recorded may not be done."""
        self._recorder.require_writable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MCPError | ModelGateError):
            self._error = error.message
        elif isinstance(error, asyncio.CancelledError):
            self.set_outcome("failed", "The client left before the answer came.")
        elif error is not None:
            self.set_outcome("failed", "An internal error; the gateway's log says more.")
        self._recorder.record(
            ToolUse(
                kind=self._kind,
                caller=self._caller,
                target=self._target,
                outcome=self._outcome,
                at=self._started_at,
                duration_ms=(time.perf_counter() - self._start_clock) * 1000,
                server_id=self._server_id,
                tool_id=self._tool_id,
                arguments=self._arguments,
                results=self._results,
                found=self._found,
                error=self._error,
            )
        )

    def set_outcome(self, outcome: UseOutcome, error: str | None = None) -> None:
        """How it came out, and what went wrong if anything did."""
        self._outcome, self._error = outcome, error

    def set_tool(self, tool_id: int, server_id: int) -> None:
        """The call goes to this tool; it counts as failed until something else is said."""
        self._tool_id, self._server_id = tool_id, server_id
        self._outcome = "failed"

    def set_queries(self, queries: Sequence[str]) -> None:
        """What is searched for."""
        self._target = " | ".join(queries)

    def set_results(self, total: int, tool_ids: Sequence[int]) -> None:
        """The search found `total` tools and returns these."""
        self._results, self._found = total, tuple(tool_ids)
        self._outcome = "ok"


class CallLog:
    """Records calls and searches."""

    def __init__(self, recorder: AuditRecorder) -> None:
        self._recorder = recorder

    def call(self, caller: AuditedCaller, name: str, arguments: Mapping[str, Any]) -> LoggedCall:
        """To be entered around a call of what goes by `name`, which is unknown until something else is said."""
        return LoggedCall(self._recorder, "call", caller, name, arguments)

    def search(self, caller: AuditedCaller) -> LoggedCall:
        """To be entered around a search."""
        return LoggedCall(self._recorder, "search", caller, "", None)
