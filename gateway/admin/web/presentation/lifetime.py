"""How long keys and tokens last, as a form lets choose it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

LIFETIMES = ((0, "never"), (1, "in a day"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year"))
"""Days after which a key or token ends, with labels."""

_MAX_DIGITS = 4


def parse_expiry(submitted: Mapping[str, str]) -> datetime | None:
    """The end that the field `days` of a form chooses; None for none, and for what is no number of days."""
    days = submitted.get("days", "")
    valid = days.isascii() and days.isdigit() and len(days) <= _MAX_DIGITS
    return datetime.now(timezone.utc) + timedelta(days=int(days)) if valid and int(days) else None
