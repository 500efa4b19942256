"""What clients hear of calls that a person has to allow."""

from __future__ import annotations

from typing import Any

from gateway.downstream.tool_result import error_result
from gateway.guards.approval.call_approval import CallApproval

POLL_MS = 2_000
_META_KEY = "modelgate/approval"


def waiting_sentence(approval: CallApproval, public_url: str = "") -> str:
    """That somebody has to decide, and where, as far as people know an address of the gateway."""
    place = f" at {public_url.rstrip('/')}/admin/approvals/{approval.id}" if public_url else ""
    return (
        f"The call of {approval.tool_name} waits for approval {approval.id}: a person has to allow it{place}, until "
        f"{approval.expires_at:%Y-%m-%d %H:%M} UTC."
    )


def waiting_result(approval: CallApproval, public_url: str) -> dict[str, Any]:
    """For a client that has waited as long as it can."""
    text = (
        f"{waiting_sentence(approval, public_url)} Nothing has been done yet; once it is allowed, make the same call "
        "again, with the same arguments, and it is carried out."
    )
    return _result(text, approval)


def refused_result(approval: CallApproval) -> dict[str, Any]:
    """For a call that is denied, or that nobody decided about or wants any more."""
    if approval.state == "denied":
        reason = f": {approval.reason}" if approval.reason else ""
        text = f"{approval.decided_by} has denied the call of {approval.tool_name} (approval {approval.id}){reason}"
        return _result(f"{text.rstrip('.')}. Do not make it again unless whoever you work for asks you to.", approval)
    if approval.state == "withdrawn":
        return _result(f"Approval {approval.id} was withdrawn, so the call was not made.", approval)
    return _result(
        f"Nobody has decided about approval {approval.id} in time, so the call of {approval.tool_name} was not made; "
        "make it again to ask anew.",
        approval,
    )


def changed_result(approval: CallApproval) -> dict[str, Any]:
    """For a call whose tool or rules are others than when it was asked for."""
    return _result(changed_sentence(approval), approval)


def changed_sentence(approval: CallApproval) -> str:
    """That what was asked for is not what would be done now."""
    return (
        f"The tool {approval.tool_name}, or the rules about it, changed while the call waited for approval "
        f"{approval.id}, so it was not made; look at the tool again, then make the call anew."
    )


def approval_task(approval: CallApproval, public_url: str = "") -> dict[str, Any]:
    """A task as it is while its call waits, or is made."""
    asked = approval.asked_at.isoformat().replace("+00:00", "Z")
    changed = (approval.used_at or approval.decided_at or approval.asked_at).isoformat().replace("+00:00", "Z")
    message = f"The call of {approval.tool_name} is being made."
    if approval.waits:
        message = waiting_sentence(approval, public_url)
    return {
        "taskId": approval.id,
        "status": "working",
        "statusMessage": message,
        "createdAt": asked,
        "lastUpdatedAt": changed,
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }


def _result(text: str, approval: CallApproval) -> dict[str, Any]:
    about = {"id": approval.id, "state": approval.state, "expiresAt": approval.expires_at.isoformat()}
    return {**error_result(text), "_meta": {_META_KEY: about}}
