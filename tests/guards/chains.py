"""Chains of guards without a database."""

from __future__ import annotations

from typing import Any

from gateway.guards.guard_chain import ActiveGuard, GuardChain
from gateway.telemetry.metrics import Metrics


def chain_of(*guards: ActiveGuard) -> GuardChain:
    """A chain for uses that are of no tool in a database, so that no schema is read."""
    schemas: Any = None
    return GuardChain(guards, schemas, Metrics())
