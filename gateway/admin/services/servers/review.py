"""Tools that changed, were flagged or wait in quarantine, and what people say to that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.review.approval import Approvals, ToolReview
from gateway.catalog.review.definition_diff import FieldChange, FieldChangeKind
from gateway.catalog.review.review_state import OnChange
from gateway.catalog.scan.finding import Severity
from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database
from gateway.errors import NotFoundError

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class StandingFilter:
    """Of which server, or of all; `waiting` leaves out tools that wait for nobody."""

    server_id: _Id | None = None
    waiting: bool = True

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field that differs: `path` is a JSON pointer, `readable` says it in a line."""

    path: str
    kind: FieldChangeKind
    before: JsonValue
    after: JsonValue
    breaking: bool
    readable: str


@dataclass(frozen=True, slots=True)
class FlagView:
    """What a scan found: where as a JSON pointer, what, and why it is held against the tool."""

    rule: str
    place: str
    severity: Severity
    excerpt: str
    reason: str
    dismissed: bool


@dataclass(frozen=True, slots=True)
class StandingView:
    """How a tool stands. `changes` differ from what was approved; `quarantine` says why it is hidden, None: it is not.

    `content_hash` names what was looked at, and goes with the approval.
    """

    id: int
    server_id: int
    server: str
    name: str
    exposed_name: str
    content_hash: str
    changed: bool
    changes: tuple[FieldView, ...]
    quarantine: str | None
    approved_at: datetime | None
    flags: tuple[FlagView, ...]
    waiting: bool


@dataclass(frozen=True, slots=True)
class Approval:
    """What was looked at: 409 where the tool is another by now."""

    content_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """What happens when a tool is not as it was approved: accept silently, accept and flag, or quarantine."""

    on_change: OnChange

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class Approved:
    """The tools that are approved now, by the upstream's names."""

    tools: tuple[str, ...]


class ReviewService:
    """Judgements of tools; they hold for the next request of every client."""

    def __init__(self, database: Database, servers: Servers) -> None:
        self._approvals = Approvals(database)
        self._database = database
        self._servers = servers

    async def list(self, tenant_id: int, query: StandingFilter) -> tuple[StandingView, ...]:
        """How tools stand, those in quarantine first."""
        reviews = await self._approvals.list(tenant_id, query.server_id, waiting=query.waiting)
        return tuple(_standing_view(review) for review in reviews)

    async def get(self, tenant_id: int, tool_id: int) -> StandingView:
        """How one tool stands. Raises NotFoundError."""
        server_id, name = await self._tool(tenant_id, tool_id)
        for review in await self._approvals.list(tenant_id, server_id, tool=name):
            if review.id == tool_id:
                return _standing_view(review)
        raise NotFoundError(f"There is no tool {tool_id} in this tenant.")

    async def approve(self, tenant_id: int, tool_id: int, approval: Approval) -> StandingView:
        """Approve a tool as it was looked at. Raises NotFoundError, ConflictError where it is another by now."""
        server_id, name = await self._tool(tenant_id, tool_id)
        await self._approvals.approve(tenant_id, server_id, name, approval.content_hash)
        return await self.get(tenant_id, tool_id)

    async def approve_all(self, tenant_id: int, server_id: int) -> Approved:
        """Approve every tool of a server that waits, as it is now. Raises NotFoundError."""
        await self._servers.spec(tenant_id, server_id)
        return Approved(tuple(await self._approvals.approve(tenant_id, server_id)))

    async def quarantine(self, tenant_id: int, tool_id: int) -> StandingView:
        """Hide a tool from every client until it is approved. Raises NotFoundError."""
        server_id, name = await self._tool(tenant_id, tool_id)
        await self._approvals.quarantine(tenant_id, server_id, name)
        return await self.get(tenant_id, tool_id)

    async def set_policy(self, tenant_id: int, server_id: int, policy: ChangePolicy) -> None:
        """Say what happens to tools of a server that change. Raises NotFoundError."""
        await self._approvals.set_on_change(tenant_id, server_id, policy.on_change)

    async def _tool(self, tenant_id: int, tool_id: int) -> tuple[int, str]:
        row = await self._database.fetchrow("tool_detail", tenant_id, tool_id)
        if row is None or row["removed_at"] is not None:
            raise NotFoundError(f"There is no tool {tool_id} in this tenant.")
        return row["server_id"], row["name"]


def build_field_view(change: FieldChange) -> FieldView:
    """A field that differs, for people."""
    return FieldView(change.path, change.kind, change.before, change.after, change.breaking, change.describe())


def _standing_view(review: ToolReview) -> StandingView:
    return StandingView(
        id=review.id,
        server_id=review.server_id,
        server=review.server,
        name=review.name,
        exposed_name=review.exposed_name,
        content_hash=review.content_hash,
        changed=review.changed,
        changes=tuple(build_field_view(change) for change in review.changes),
        quarantine=review.quarantine,
        approved_at=review.approved_at,
        flags=tuple(FlagView(**asdict(flag)) for flag in review.flags),
        waiting=review.needs_review,
    )
