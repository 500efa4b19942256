"""Errors of guards around calls."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class GuardError(ModelGateError, code="guard"):
    """A guard could not judge what it was shown; its message is half a sentence, what kept it from that."""


class GuardRefusedError(ModelGateError, code="guard-refused"):
    """A guard refuses what was asked of a server, or withholds what it answered."""
