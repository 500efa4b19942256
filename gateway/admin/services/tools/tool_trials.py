"""Trying a tool."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from gateway.access.caller import Caller
from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.persons import ACCOUNT_ISSUER
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.tools.tools import tool_row
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.servers.server import Servers
from gateway.database.actor import current_actor
from gateway.database.pool import Database
from gateway.errors import ConflictError, UpstreamError, UpstreamReplyError
from gateway.upstream.request import UpstreamRequest


@dataclass(frozen=True, slots=True)
class ToolTrial:
    """The arguments to try a tool with."""

    arguments: Mapping[str, JsonValue] = field(default_factory=dict)

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a tool answered after `milliseconds`: its untouched `result`, or the JSON-RPC error that it gave."""

    milliseconds: float
    result: JsonValue = None
    error_code: int | None = None
    error: str | None = None


class ToolTrialService:
    """Calls tools for people who try them."""

    def __init__(self, database: Database, servers: Servers, requests: CallerRequests, recorder: AuditRecorder) -> None:
        self._database = database
        self._servers = servers
        self._requests = requests
        self._recorder = recorder

    async def call(self, tenant_id: int, tool_id: int, trial: ToolTrial) -> TrialResult:
        """Call a tool with these arguments, past all roles, as who tries it where the server lets each person in so.

        Raises NotFoundError, ConflictError for a tool that is not there any more or whose server is switched off,
        UpstreamError where the server does not answer, and AuditUnavailableError for what has to be recorded and cannot
        be.
        """
        row = await tool_row(self._database, tenant_id, tool_id)
        if row["removed_at"] is not None:
            raise ConflictError(f"{row['server_name']} no longer lists {row['name']}; sync the server if it is back.")
        if row["disabled_at"] is not None:
            raise ConflictError(f"{row['name']} is switched off; switch it on to call it.")
        if not row["server_enabled"]:
            raise ConflictError(f"{row['server_name']} is switched off; switch it on to call its tools.")
        spec = await self._servers.spec(tenant_id, row["server_id"])
        params = {"name": row["name"], "arguments": dict(trial.arguments)}
        await self._start_trial(tenant_id, row["exposed_name"], trial)
        started = time.perf_counter()
        try:
            caller = await self._caller(tenant_id)
            result: Any = await self._requests.request(caller, spec, UpstreamRequest("tools/call", params))
        except UpstreamReplyError as error:
            self._record_trial(tenant_id, row["exposed_name"], "failed", _milliseconds_since(started))
            return TrialResult(_milliseconds_since(started), error_code=error.code, error=error.message)
        except UpstreamError:
            self._record_trial(tenant_id, row["exposed_name"], "failed", _milliseconds_since(started))
            raise
        self._record_trial(tenant_id, row["exposed_name"], "ok", _milliseconds_since(started))
        return TrialResult(_milliseconds_since(started), result)

    async def _caller(self, tenant_id: int) -> Caller:
        """Who tries it, as servers know persons."""
        actor = current_actor()
        row = None if actor.id is None else await self._database.fetchrow("admin_identity", actor.id)
        issuer, subject = (ACCOUNT_ISSUER, str(actor.id)) if row is None or row["issuer"] is None else row
        return Caller(tenant_id, 0, actor.name, (), subject=subject, issuer=issuer)

    async def _start_trial(self, tenant_id: int, name: str, trial: ToolTrial) -> None:
        """Raises AuditUnavailableError where what cannot be recorded may not be done."""
        if self._recorder.fail_closed:
            event = AuditEvent(current_actor(), "tool.tried", name, "started", tenant_id, arguments=trial.arguments)
            await self._recorder.record_durably(event)

    def _record_trial(self, tenant_id: int, name: str, outcome: Literal["ok", "failed"], milliseconds: float) -> None:
        event = AuditEvent(current_actor(), "tool.tried", name, outcome, tenant_id, milliseconds)
        self._recorder.record(event)


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
