"""How long a caller of an embedding server waits, and for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one purpose waits: tries in all, seconds for each, and the longest wait between two that is worth it."""

    attempts: int
    timeout_seconds: float
    longest_wait_seconds: float
    at_once: int


@dataclass(frozen=True, slots=True)
class Setback:
    """A failure that may pass: what happened, and what to do if it does not.

    `asked_wait` is the wait in seconds that the server asked for, `again` whether another try could go better, and
    `counts` whether it speaks against the server's health.
    """

    what: str
    next_step: str
    asked_wait: float = 0.0
    again: bool = True
    counts: bool = True
