"""Calls that are asked for, without a gateway: a tool in the catalogue, and callers of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from gateway.access.caller import Caller
from gateway.components import Components
from gateway.guards.approval.arguments_digest import digest_arguments
from gateway.guards.approval.call_approval import ApprovalRequirement, Approver, CallApproval, CallBinding
from gateway.guards.approval.call_approvals import CallApprovals
from tests.support.listed import add_listed, tool

ADA, BOB = Approver("ada", "admin"), Approver("bob", "admin")


@dataclass(frozen=True, slots=True)
class AskedTool:
    """A tool whose calls wait."""

    server_id: int
    id: int
    definition: str

    @property
    def requirement(self) -> ApprovalRequirement:
        return ApprovalRequirement("1.1:0.0", b"definition", self.definition, "bank__pay")

    def binding(self, caller: Caller, arguments: Mapping[str, Any]) -> CallBinding:
        digest = digest_arguments(arguments)
        requirement = self.requirement
        return CallBinding(
            1,
            caller.identity,
            caller.person,
            self.server_id,
            self.id,
            digest,
            requirement.definition_hash,
            requirement.policy_version,
        )

    async def ask(self, approvals: CallApprovals, caller: Caller, arguments: Mapping[str, Any]) -> CallApproval:
        binding = self.binding(caller, arguments)
        return await approvals.request(caller, binding, self.requirement, "Bank", arguments, is_task=False)


async def asked_tool(parts: Components, folder: Path) -> AskedTool:
    server = await add_listed(parts, folder, tool("pay", "Pays.", to="Whom", amount="How much"), name="Bank")
    row = await parts.database.fetchrow("tools_by_name", 1, [], "bank__pay", [], [])
    assert row is not None
    return AskedTool(server.id, row["id"], json.dumps(json.loads(row["definition"])))


async def expire(url: str, approval_id: str) -> None:
    """Let the time of an approval be over."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE call_approvals SET expires_at = now() - interval '1 second' WHERE id = $1", approval_id
        )
    finally:
        await connection.close()


def key_caller(key_id: int, name: str = "agent", **more: Any) -> Caller:
    return Caller(1, key_id, name, (1,), **more)
