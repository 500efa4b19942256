"""The tool read_result: the rest of a result that was too large."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError

from gateway.access.caller import Caller
from gateway.access.connections.named_person import identity_at
from gateway.access.limits import Limiter
from gateway.audit.call_log import CallLog
from gateway.catalog.naming import READ_RESULT
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.downstream.jsonrpc import LIMIT_EXCEEDED
from gateway.downstream.methods.result_store import ResultStore, StoredPart
from gateway.downstream.result_limit import truncate
from gateway.downstream.tool_result import error_result
from gateway.errors import LimitError, NotFoundError

_OVERHEAD_BYTES = 512
_MAX_OFFSET = 2**31 - 2


class ReadResult:
    """Gives a caller what it had called for, part by part, for as long as it may call the tool."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        result_store: ResultStore,
        call_log: CallLog,
        limiter: Limiter,
        maximum_bytes: int,
    ) -> None:
        self._database = database
        self._servers = servers
        self._result_store = result_store
        self._call_log = call_log
        self._limiter = limiter
        self._maximum_bytes = maximum_bytes

    async def call(self, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The text from `offset` on, and how to go on; bad arguments are a result too, with `isError`.

        Raises MCPError where the key has no call left, as for a call of the tool itself.
        """
        async with self._call_log.call(caller, READ_RESULT, arguments) as logged:
            offset = arguments.get("offset", 0)
            if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= _MAX_OFFSET:
                logged.set_outcome("unknown")
                return error_result("offset has to be a whole number from 0 on, as the last part of the result says.")
            try:
                result_id = uuid.UUID(str(arguments.get("id")))
            except ValueError:
                logged.set_outcome("unknown")
                return error_result("id has to be the id that the cut result gives.")
            await logged.start()
            try:
                async with self._limiter.call_slot(caller):
                    part = await self._result_store.read(caller.tenant_id, result_id, offset, self._maximum_bytes)
                    allowed = [] if part is None else await self._allowed(caller, part)
            except LimitError as error:
                logged.set_outcome("limited", error.message)
                data = {"limit": error.limit, "retryAfter": error.retry_after}
                raise MCPError(code=LIMIT_EXCEEDED, message=error.message, data=data) from None
            if part is None or not allowed:
                logged.set_outcome("unknown")
                return error_result("There is no such result any more; they are kept for an hour. Call the tool again.")
            logged.set_tool(part.tool_id, allowed[0]["server_id"], allowed[0]["server_name"])
            logged.set_outcome("ok")
            return _shown(part.text, offset, part.characters, self._maximum_bytes - _OVERHEAD_BYTES)

    async def _allowed(self, caller: Caller, part: StoredPart) -> list[Any]:
        """The tool that the text is of, where the caller may call it and the text is theirs."""
        rows = await self._database.fetch("result_tools", caller.tenant_id, list(caller.role_ids), [part.tool_id])
        try:
            return [
                row
                for row in rows
                if part.owner == identity_at(caller, await self._servers.spec(caller.tenant_id, row["server_id"]))
            ]
        except NotFoundError:
            return []


def _shown(text: str, offset: int, characters: int, maximum_bytes: int) -> dict[str, Any]:
    shown = truncate(text, maximum_bytes)
    end = offset + len(shown)
    left = f"read on with offset {end}" if end < characters else "this is the end"
    where = f"Characters {offset:,} to {end:,} of {characters:,}; {left}."
    return {"content": [{"type": "text", "text": shown}, {"type": "text", "text": where}], "isError": False}
