"""A tool as a call needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.access.caller import Caller
from gateway.access.connections.named_person import identity_at
from gateway.guards.approval.arguments_digest import digest_arguments
from gateway.guards.approval.call_approval import ApprovalRequirement, CallBinding
from gateway.upstream.spec import ServerSpec


@dataclass(frozen=True, slots=True)
class CallableTool:
    """The upstream's own name of a tool, its schema where clients repeat arguments in headers, and what its calls wait
    for, None where they wait for nobody.
    """

    id: int
    server_id: int
    name: str
    exposed_name: str
    category: str
    mirrored_schema: Mapping[str, Any] | None
    approval: ApprovalRequirement | None = None

    def bind(self, caller: Caller, spec: ServerSpec, arguments: Mapping[str, Any]) -> CallBinding | None:
        """What an approval of a call at the tool's server holds for; None where it needs none.

        Raises InvalidInputError.
        """
        if self.approval is None:
            return None
        return CallBinding(
            tenant_id=caller.tenant_id,
            caller=identity_at(caller, spec),
            person=caller.person,
            server_id=self.server_id,
            tool_id=self.id,
            arguments_digest=digest_arguments(arguments),
            definition_hash=self.approval.definition_hash,
            policy_version=self.approval.policy_version,
        )
