"""What people and programs are shown of an approval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from gateway.guards.approval.call_approval import ApprovalState, CallApproval, DecidedVia


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    """A call that waits for a person, or did. Until `expires_at` it may be decided, and once it is that holds.

    `state`: asked, approved, denied, used (the call was let through), expired or withdrawn. `asked_by` is the key or
    person whose call it is.
    """

    id: str
    state: ApprovalState
    server: str
    tool: str
    tool_id: int
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decided_via: DecidedVia | None
    reason: str | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApprovalDetail:
    """All that is to be known for a decision: `arguments` in full, and what the tool said of itself when it was asked;
    `annotations` are hints that nobody has checked. `changed`: it says something else now, so that the approval lets
    nothing through.
    """

    approval: ApprovalCard
    arguments: Mapping[str, JsonValue]
    title: str | None
    description: str | None
    annotations: Mapping[str, JsonValue]
    changed: bool


def approval_card(approval: CallApproval) -> ApprovalCard:
    """An approval in a list."""
    return ApprovalCard(
        id=approval.id,
        state=approval.state,
        server=approval.server_name,
        tool=approval.tool_name,
        tool_id=approval.tool_id,
        asked_by=approval.asked_by,
        asked_at=approval.asked_at,
        expires_at=approval.expires_at,
        decided_at=approval.decided_at,
        decided_by=approval.decided_by,
        decided_via=approval.decided_via,
        reason=approval.reason,
        used_at=approval.used_at,
    )


def approval_detail(approval: CallApproval, arguments: Mapping[str, Any], *, changed: bool = False) -> ApprovalDetail:
    """An approval by itself."""
    definition = json.loads(approval.definition)
    title, description, annotations = (definition.get(name) for name in ("title", "description", "annotations"))
    return ApprovalDetail(
        approval=approval_card(approval),
        arguments=arguments,
        title=title if isinstance(title, str) else None,
        description=description if isinstance(description, str) else None,
        annotations=annotations if isinstance(annotations, dict) else {},
        changed=changed,
    )
