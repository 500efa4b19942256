"""Calls that wait for a person: which, what each would do, and the decision."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response

from gateway.admin.paths import HOME_PATH
from gateway.admin.request_input import parse_form
from gateway.admin.services.approvals import ApprovalFilter, ApprovalReason
from gateway.admin.web.fragment_stream import fragment_stream
from gateway.admin.web.page import get, post
from gateway.admin.web.page_context import PageContext
from gateway.errors import ConflictError, ForbiddenError, InvalidInputError, ModelGateError, SettingsError
from gateway.guards.approval.approval_card import ApprovalDetail
from gateway.guards.approval.call_approval import Decision

_DECIDED = 50


async def list_approvals(context: PageContext) -> Response:
    """The calls that wait, and the last that did."""
    approvals = context.services.approvals
    recent = await approvals.list(context.tenant.id, ApprovalFilter(waiting=False, limit=_DECIDED))
    return context.render(
        "approvals.html",
        waiting=await approvals.list(context.tenant.id, ApprovalFilter()),
        decided=[card for card in recent if card.state != "asked"],
    )


async def follow_approvals(context: PageContext) -> Response:
    """The table of those that wait, each time that it changes."""

    async def tables() -> AsyncIterator[str]:
        async for waiting in context.services.approvals.follow(context.tenant.id):
            yield context.render_fragment("approvals_waiting.html", waiting=waiting)

    return fragment_stream(tables())


async def find_approval(context: PageContext) -> Response:
    """The page of an approval for who does not know its tenant, as whoever waits does not."""
    slug = await context.services.approvals.tenant_of(context.request.path_params["approval"], context.principal)
    return context.redirect_to(f"{HOME_PATH}/t/{slug}/approvals/{context.request.path_params['approval']}")


async def show_approval(context: PageContext) -> Response:
    """One call in full."""
    return await _page(context)


async def approve_call(context: PageContext) -> Response:
    """Let the call through."""
    return await _decide(context, "approved")


async def deny_call(context: PageContext) -> Response:
    """Refuse the call."""
    return await _decide(context, "denied")


async def _decide(context: PageContext, decision: Decision) -> Response:
    submitted = await context.form()
    approval_id = context.request.path_params["approval"]
    try:
        reason = parse_form(ApprovalReason, submitted)
        await context.services.approvals.decide(context.tenant.id, approval_id, context.principal, decision, reason)
    except (ConflictError, ForbiddenError, InvalidInputError) as error:
        return await _page(context, error)
    return context.redirect("/approvals")


async def _page(context: PageContext, error: ModelGateError | None = None) -> Response:
    rejection = context.rejection(error)
    detail: ApprovalDetail | None = None
    unreadable = ""
    try:
        detail = await context.services.approvals.get(context.tenant.id, context.request.path_params["approval"])
    except SettingsError as sealed:
        # Under a key that is gone, nobody can say what would be done.
        unreadable = sealed.message
    return context.render(
        "approval.html",
        rejection.status,
        detail=detail,
        unreadable=unreadable,
        problem=" ".join(rejection.errors.values()),
    )


PAGES = (
    get("/approvals", list_approvals),
    get("/approvals/events", follow_approvals),
    get("/approvals/{approval}", find_approval, own_account=True),
    get("/approvals/{approval}", show_approval),
    post("/approvals/{approval}/approve", approve_call),
    post("/approvals/{approval}/deny", deny_call),
)
