"""A day as a bar: the geometry of its parts, for a template to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.admin.services.servers.health import HealthPeriod, ServerHealth

WIDTH = 1440
_MIN_WIDTH = 3.0
_KINDS = {"connected": "good", "idle": "idle", "connecting": "info", "starting": "info"}
_WORDS = {"left_alone": "unreachable, paused after five failures", "failing": "unreachable", "idle": "not connected"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar, from `x` on, in units of which the day has 1,440, and what is shown when it is pointed at."""

    x: float
    width: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a server could not be reached."""

    since: datetime
    minutes: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The segments of a day, what they come to in words, and its outages, the latest first."""

    segments: tuple[Segment, ...]
    summary: str
    outages: tuple[Outage, ...]


def health_timeline(health: ServerHealth) -> Timeline:
    """The day of a server. Two failing periods with nothing between them but their cause are one outage."""
    length = (health.now - health.since).total_seconds()
    segments = []
    for period in health.periods:
        x = (period.since - health.since).total_seconds() / length * WIDTH
        width = max((period.until - period.since).total_seconds() / length * WIDTH, _MIN_WIDTH)
        state = _WORDS.get(period.state, period.state)
        label = f"{period.since:%H:%M} to {period.until:%H:%M} UTC: {state}"
        segments.append(Segment(round(x, 1), round(width, 1), _KINDS.get(period.state, "bad"), label))
    outages = _find_outages(health.periods)
    return Timeline(tuple(segments), _summary(health, len(outages)), tuple(reversed(outages)))


def _find_outages(periods: Sequence[HealthPeriod]) -> list[Outage]:
    outages: list[Outage] = []
    before: HealthPeriod | None = None
    for period in periods:
        if period.state not in ("failing", "left_alone"):
            before = None
            continue
        minutes = (period.until - period.since).total_seconds() / 60
        if before is not None:
            last = outages.pop()
            outages.append(Outage(last.since, last.minutes + minutes, period.error or last.error))
        else:
            outages.append(Outage(period.since, minutes, period.error))
        before = period
    return outages


def _summary(health: ServerHealth, outages: int) -> str:
    if health.availability is None:
        return "No checks in the last 24 hours."
    times = "no outage" if not outages else f"{outages} outage{'s' if outages > 1 else ''}"
    return f"Reachable in {health.availability:.1%} of the last 24 hours that were checked; {times}."
