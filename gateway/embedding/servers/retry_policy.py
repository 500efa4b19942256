"""How long a caller of an embedding server waits, and for which failures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one purpose waits: tries in all, seconds for each, the longest wait between two that is worth it, how
    many requests may be under way, and whether a failure says that the server is down.
    """

    max_attempts: int
    timeout_seconds: float
    max_wait_seconds: float
    max_concurrency: int
    tells_outages: bool = True


@dataclass(frozen=True, slots=True)
class TransientFailure:
    """A failure that may pass: what happened, and what to do if it does not.

    `retry_after_seconds` is the wait that the server asked for, `retriable` whether another try could go better,
    `is_outage` whether it speaks against the server's health, and `may_be_the_texts` whether it may be for what it was
    asked that it failed.
    """

    detail: str
    next_step: str
    retry_after_seconds: float = 0.0
    retriable: bool = True
    is_outage: bool = True
    may_be_the_texts: bool = False
    timed_out: bool = False
