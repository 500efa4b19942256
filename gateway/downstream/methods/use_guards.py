"""Guards around the uses of servers that clients ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError

from gateway.access.caller import Caller
from gateway.audit.call_log import LoggedUse
from gateway.downstream.jsonrpc import GUARD_REFUSED
from gateway.errors import GuardRefusedError
from gateway.guards.content import GuardedUse
from gateway.guards.guard_chain import GuardChain, GuardOutcome
from gateway.guards.guards import Guards
from gateway.guards.rule import Stage, Subject

_TASK = "task"


class UseGuards:
    """Finds the guards that are around a use; where a tenant has none, none are asked."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards

    async def any(self, caller: Caller) -> bool:
        """Whether the caller's tenant has guards. Raises DatabaseError."""
        return bool(await self._guards.chain(caller.tenant_id))

    async def of_tool(
        self, caller: Caller, server_id: int, server: str, tool_id: int, name: str, category: str, logged: LoggedUse
    ) -> UseGuard | None:
        """What is around a call of the tool of this exposed name. Raises DatabaseError."""
        chain = await self._guards.chain(caller.tenant_id)
        if not chain:
            return None
        use = _use(caller, "tools", server_id, server, name, tool_id, category)
        return UseGuard(chain, use, logged)

    async def of_other(
        self, caller: Caller, subject: Subject, server_id: int, server: str, target: str, logged: LoggedUse
    ) -> UseGuard | None:
        """What is around the use of a prompt or a resource; it refuses with an MCPError. Raises DatabaseError."""
        chain = await self._guards.chain(caller.tenant_id)
        return UseGuard(chain, _use(caller, subject, server_id, server, target), logged) if chain else None


class UseGuard:
    """The guards around one use; what they do is recorded with it."""

    def __init__(self, chain: GuardChain, use: GuardedUse, logged: LoggedUse) -> None:
        self._chain = chain
        self._use = use
        self._logged = logged

    async def check_arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments that go to the server. Raises GuardRefusedError, or MCPError, where none may."""
        outcome = await self._check("arguments", arguments)
        if outcome.audited is not arguments:
            self._logged.set_arguments(outcome.audited)
        checked: Mapping[str, Any] = self._accepted(outcome)
        return checked

    async def check_error(self, error: MCPError) -> MCPError:
        """A server's JSON-RPC error as it goes to the client: it says as much as a result. Raises as `check_result`."""
        given = error.error
        told = {"content": [{"type": "text", "text": given.message}], "isError": True}
        value = told if given.data is None else {**told, "errorData": given.data}
        outcome = await self._check("result", value)
        checked = self._accepted(outcome)
        if checked is value:
            return error
        content = checked.get("content") or [{}]
        return MCPError(code=given.code, message=str(content[0].get("text", "")), data=checked.get("errorData"))

    async def check_address(self, uri: str) -> None:
        """Raises MCPError for the address of a resource that may not be asked for: nothing can be taken out of one."""
        given = {"uri": uri}
        outcome = await self._check("arguments", given)
        if outcome.audited is not given:
            self._logged.set_target(str(outcome.audited.get("uri")))
        if self._accepted(outcome) is not given:
            raise self._refused("A guard would change the address of this resource, which would be another one then.")

    async def check_result(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result that goes to the client, and which is recorded. Raises GuardRefusedError where none may."""
        if result.get("resultType") == _TASK:
            # What the task comes to is looked at when it is there.
            self._logged.set_result(result)
            return result
        outcome = await self._check("result", result)
        checked: dict[str, Any] = self._accepted(outcome)
        self._logged.set_result(outcome.audited)
        return checked

    async def _check(self, stage: Stage, value: Any) -> GuardOutcome:
        outcome = await self._chain.check(self._use, stage, value)
        self._logged.add_guards(outcome.decisions)
        return outcome

    def _accepted(self, outcome: GuardOutcome) -> Any:
        if outcome.refusal is not None:
            raise self._refused(outcome.refusal)
        return outcome.value

    def _refused(self, sentence: str) -> GuardRefusedError | MCPError:
        self._logged.set_outcome("denied", sentence)
        if self._use.subject == "tools":
            return GuardRefusedError(sentence)
        return MCPError(code=GUARD_REFUSED, message=sentence)


def _use(
    caller: Caller,
    subject: Subject,
    server_id: int,
    server: str,
    target: str,
    tool_id: int | None = None,
    category: str | None = None,
) -> GuardedUse:
    return GuardedUse(
        caller.tenant_id, caller.role_ids, caller.key_name, subject, server_id, server, target, tool_id, category
    )
