"""How a server is used: what differs from the gateway's own settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gateway.database.connection import Row
from gateway.errors import InvalidInputError

_MAX_SECONDS = 86_400.0 * 366
_MAX_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Tuning:
    """Timeouts and intervals in seconds; None is as the gateway's settings say.

    `session`: one upstream session for all clients, or one for each. `idle_stop_seconds`: when the child process of an
    unused stdio server is stopped; 0 never. `sync_every_seconds`: how often the tools are looked at; 0 never by itself.
    """

    connect_timeout_seconds: float | None = None
    start_timeout_seconds: float | None = None
    list_timeout_seconds: float | None = None
    call_timeout_seconds: float | None = None
    max_calls_in_flight: int | None = None
    session: Literal["shared", "per_client"] = "shared"
    idle_stop_seconds: float = 0.0
    sync_every_seconds: float | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that differ, by the name of the setting."""
        return {name: value for name in TUNABLE_LIMITS if (value := getattr(self, name)) is not None}

    def validate(self) -> None:
        """Raises InvalidInputError that names what cannot be."""
        for name in TUNABLE_LIMITS:
            value = getattr(self, name)
            minimum = 1 if name == "max_calls_in_flight" else 0.1
            maximum = _MAX_CALLS if name == "max_calls_in_flight" else _MAX_SECONDS
            if value is not None and not minimum <= value <= maximum:
                raise InvalidInputError(f"{name} has to be from {minimum} to {maximum:,.0f}, not {value}.", name)
        for name in ("idle_stop_seconds", "sync_every_seconds"):
            value = getattr(self, name)
            if value is not None and (math.isnan(value) or not 0 <= value <= _MAX_SECONDS):
                raise InvalidInputError(f"{name} has to be from 0 to {_MAX_SECONDS:,.0f}, not {value}.", name)


TUNABLE_LIMITS = (
    "connect_timeout_seconds",
    "start_timeout_seconds",
    "list_timeout_seconds",
    "call_timeout_seconds",
    "max_calls_in_flight",
)
"""The limits that a server may have of its own."""


def parse_tuning(row: Row) -> Tuning:
    """The tuning of a server's row."""
    return Tuning(
        **{name: row["limits"].get(name) for name in TUNABLE_LIMITS},
        session=row["session"],
        idle_stop_seconds=row["idle_stop_seconds"],
        sync_every_seconds=row["sync_every_seconds"],
    )
