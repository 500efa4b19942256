"""Who makes a request, once that is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant, key and roles that a request acts with; everything it may see follows from these."""

    tenant_id: int
    key_id: int
    key_name: str
    role_ids: tuple[int, ...]
