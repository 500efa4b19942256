"""Calls that wait for a person, and what people say to that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import AwareDatetime, Field

from gateway.access.connections.named_person import names_at
from gateway.access.persons import ACCOUNT_ISSUER, Identity
from gateway.access.tenants import list_tenants
from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.errors import ApprovalNotFoundError, NotFoundError
from gateway.guards.approval.approval_card import ApprovalCard, ApprovalDetail, approval_card, approval_detail
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.call_approval import Approver, Decision
from gateway.guards.approval.call_approvals import CallApprovals

_FOLLOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ApprovalFilter:
    """Those that wait for somebody, or all; asked for before a time, which the last of a page has as `asked_at`."""

    waiting: bool = True
    before: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ApprovalReason:
    """Why it was decided so; whoever asked is told."""

    reason: Annotated[str, Field(max_length=1_000)] = ""

    __pydantic_config__ = FORBID_EXTRA


class ApprovalService:
    """Decides for people who have signed in, and for their tokens."""

    def __init__(self, database: Database, servers: Servers, approvals: CallApprovals, watch: ApprovalWatch) -> None:
        self._database = database
        self._servers = servers
        self._approvals = approvals
        self._watch = watch

    async def list(self, tenant_id: int, query: ApprovalFilter) -> tuple[ApprovalCard, ...]:
        """The newest first."""
        found = await self._approvals.list(tenant_id, waiting=query.waiting, before=query.before, limit=query.limit)
        return tuple(approval_card(approval) for approval in found)

    async def get(self, tenant_id: int, approval_id: str) -> ApprovalDetail:
        """One, in full. Raises ApprovalNotFoundError, and SettingsError where its arguments cannot be opened."""
        approval = await self._approvals.get(tenant_id, approval_id)
        return approval_detail(
            approval, await self._approvals.arguments(approval), changed=await self._approvals.is_outdated(approval)
        )

    async def tenant_of(self, approval_id: str, principal: Principal) -> str:
        """The slug of the tenant of an approval. Raises ApprovalNotFoundError, for one that is not theirs too."""
        approval = await self._approvals.get_of_any_tenant(approval_id)
        if not principal.may_enter(approval.tenant_id):
            raise ApprovalNotFoundError(approval_id)
        tenants = {tenant.id: tenant.slug for tenant in await list_tenants(self._database)}
        return tenants[approval.tenant_id]

    async def decide(
        self, tenant_id: int, approval_id: str, principal: Principal, decision: Decision, given: ApprovalReason
    ) -> ApprovalCard:
        """Allow or deny a call; raises as `CallApprovals.decide`."""
        person, name = await self._identity(principal), principal.admin.name
        named: frozenset[str] = frozenset()
        with suppress(NotFoundError):
            approval = await self._approvals.get(tenant_id, approval_id)
            named = names_at(await self._servers.spec(tenant_id, approval.server_id), person, name)
        approver = Approver(name, "admin", person=person, named=named)
        return approval_card(await self._approvals.decide(tenant_id, approval_id, approver, decision, given.reason))

    async def follow(self, tenant_id: int) -> AsyncIterator[tuple[ApprovalCard, ...]]:
        """Those that wait, now and whenever that changes."""
        known: tuple[ApprovalCard, ...] | None = None
        with self._watch.watching_any() as signal:
            while True:
                waiting = await self.list(tenant_id, ApprovalFilter())
                if waiting != known:
                    known = waiting
                    yield waiting
                await signal.wait(_FOLLOW_SECONDS)

    async def _identity(self, principal: Principal) -> Identity:
        row = await self._database.fetchrow("approver_identity", principal.admin.id)
        if row is None or row["issuer"] is None:
            return Identity(ACCOUNT_ISSUER, str(principal.admin.id))
        return Identity(row["issuer"], row["subject"])
