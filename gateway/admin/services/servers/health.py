"""How servers did over the last day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from gateway.catalog.servers.server import Servers
from gateway.database.pool import Database

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class HealthPeriod:
    """A time without a gap in which a server was in one state; `error` is the last failure in it."""

    since: datetime
    until: datetime
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The day that ends `now`, its periods in order; where there is none, nobody looked.

    `availability` is the share of the time looked at in which the server was connected, or could have been, 0 to 1.
    """

    since: datetime
    now: datetime
    periods: tuple[HealthPeriod, ...]
    availability: float | None


class ServerHealthService:
    """Reads what the checks have found."""

    def __init__(self, database: Database, servers: Servers) -> None:
        self._database = database
        self._servers = servers

    async def last_day(self, tenant_id: int, server_id: int) -> ServerHealth:
        """How a server did in the last 24 hours. Raises NotFoundError."""
        await self._servers.spec(tenant_id, server_id)
        now = datetime.now(timezone.utc)
        since = now - _DAY
        rows = await self._database.fetch("server_health_since", tenant_id, server_id, since)
        periods = tuple(
            HealthPeriod(max(row["since"], since), row["until"], row["state"], row["error"]) for row in rows
        )
        return ServerHealth(since, now, periods, _availability(periods))


def _availability(periods: tuple[HealthPeriod, ...]) -> float | None:
    # A single check counts, too.
    seconds = [(period.state, max((period.until - period.since).total_seconds(), 1.0)) for period in periods]
    looked_at = sum(length for _, length in seconds)
    failing = sum(length for state, length in seconds if state in ("failing", "left_alone"))
    return 1 - failing / looked_at if looked_at else None
