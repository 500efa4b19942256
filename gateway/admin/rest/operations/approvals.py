"""Calls that wait for a person."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.approvals import ApprovalFilter, ApprovalReason
from gateway.guards.approval.approval_card import ApprovalCard, ApprovalDetail


@operation("GET", "/approvals")
async def list_approvals(context: RestContext, query: ApprovalFilter) -> tuple[ApprovalCard, ...]:
    """List calls that wait for approval, or did, the newest first."""
    return await context.services.approvals.list(context.tenant.id, query)


@operation("GET", "/approvals/{approval_id}")
async def get_approval(context: RestContext, approval_id: str) -> ApprovalDetail:
    """Show a call that waits: who asks, what the tool says it does, every argument."""
    return await context.services.approvals.get(context.tenant.id, approval_id)


@operation("POST", "/approvals/{approval_id}/approve")
async def approve_call(context: RestContext, approval_id: str, body: ApprovalReason) -> ApprovalCard:
    """Let the call through, once; 409 where it is decided already or has expired, 403 for who asked for it."""
    principal = context.principal
    return await context.services.approvals.decide(context.tenant.id, approval_id, principal, "approved", body)


@operation("POST", "/approvals/{approval_id}/deny")
async def deny_call(context: RestContext, approval_id: str, body: ApprovalReason) -> ApprovalCard:
    """Refuse the call; 409 where it is decided already or has expired, 403 for who asked for it."""
    principal = context.principal
    return await context.services.approvals.decide(context.tenant.id, approval_id, principal, "denied", body)


OPERATIONS = (list_approvals, get_approval, approve_call, deny_call)
