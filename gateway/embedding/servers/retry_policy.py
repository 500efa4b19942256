"""How long a caller of an embedding server waits, and for which failures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one purpose waits: tries in all, seconds for each, the longest wait between two that is worth it, and
    how many requests may be under way.
    """

    max_attempts: int
    timeout_seconds: float
    max_wait_seconds: float
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class TransientFailure:
    """A failure that may pass: what happened, and what to do if it does not.

    `retry_after_seconds` is the wait that the server asked for, `retriable` whether another try could go better, and
    `is_outage` whether it speaks against the server's health.
    """

    detail: str
    next_step: str
    retry_after_seconds: float = 0.0
    retriable: bool = True
    is_outage: bool = True
