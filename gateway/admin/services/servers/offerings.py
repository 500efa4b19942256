"""Prompts, templates and instructions that changed, were flagged or are hidden, and what people say to that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue

from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.review import FieldView, FlagView, StandingFilter, build_field_view
from gateway.catalog.review.offerings import OfferingKind, OfferingReview, Offerings
from gateway.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class OfferingView:
    """How a prompt, a template or what a server says of itself stands, as `StandingView` says it of a tool.

    `definition` is as the server has it, `waiting` whether it is for an admin to look at.
    """

    server_id: int
    server: str
    kind: OfferingKind
    name: str
    content_hash: str
    changed: bool
    changes: tuple[FieldView, ...]
    quarantine: str | None
    approved_at: datetime | None
    flags: tuple[FlagView, ...]
    definition: JsonValue
    waiting: bool


@dataclass(frozen=True, slots=True)
class OfferingApproval:
    """Which: `name` goes with `kind`, and without either it is all that waits. 409 where it is no longer the one with
    `content_hash`.
    """

    kind: OfferingKind | None = None
    name: Annotated[str, Field(max_length=10_000)] | None = None
    content_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ApprovedOffering:
    """What is approved now."""

    kind: OfferingKind
    name: str


@dataclass(frozen=True, slots=True)
class ApprovedOfferings:
    """All of a server that are approved now and waited before."""

    offerings: tuple[ApprovedOffering, ...]


class OfferingService:
    """Judgements of what servers offer beside tools; they hold for the next request of every client."""

    def __init__(self, offerings: Offerings) -> None:
        self._offerings = offerings

    async def list(self, tenant_id: int, query: StandingFilter) -> tuple[OfferingView, ...]:
        """How they stand, those that are hidden first."""
        reviews = await self._offerings.list(tenant_id, query.server_id, waiting=query.waiting)
        return tuple(_view(review) for review in reviews)

    async def approve(self, tenant_id: int, server_id: int, approval: OfferingApproval) -> ApprovedOfferings:
        """Approve one of them, or all that wait. Raises NotFoundError, ConflictError, InvalidInputError."""
        if approval.kind is None and not (approval.name is None and approval.content_hash is None):
            raise InvalidInputError("name and content_hash go with kind.", "kind")
        approved = await self._offerings.approve(
            tenant_id, server_id, approval.kind, approval.name, approval.content_hash
        )
        return ApprovedOfferings(tuple(ApprovedOffering(kind, name) for kind, name in approved))


def _view(review: OfferingReview) -> OfferingView:
    return OfferingView(
        server_id=review.server_id,
        server=review.server,
        kind=review.kind,
        name=review.name,
        content_hash=review.content_hash,
        changed=review.changed,
        changes=tuple(build_field_view(change) for change in review.changes),
        quarantine=review.quarantine,
        approved_at=review.approved_at,
        flags=tuple(FlagView(**asdict(flag)) for flag in review.flags),
        definition=dict(review.definition),
        waiting=review.needs_review,
    )
