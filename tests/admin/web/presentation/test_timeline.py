"""The bar of a day."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from gateway.admin.services.servers.health import HealthPeriod, ServerHealth
from gateway.admin.web.presentation.timeline import health_timeline

NOW = datetime(2026, 5, 2, 12, tzinfo=timezone.utc)
SINCE = NOW - timedelta(days=1)


def period(begin: float, end: float, state: str, error: str | None = None) -> HealthPeriod:
    """From one hour of the day on to another."""
    return HealthPeriod(SINCE + timedelta(hours=begin), SINCE + timedelta(hours=end), state, error)


def test_periods_are_drawn_where_they_were_and_failures_with_nothing_between_are_one_outage() -> None:
    periods = (
        period(0, 6, "connected"),
        period(6, 7, "failing", "refused"),
        period(7, 8, "left_alone"),
        period(12, 18, "idle"),
        period(18, 18, "failing", "late"),
    )
    timeline = health_timeline(ServerHealth(SINCE, NOW, periods, 12 / 14))
    assert [(part.x, part.width, part.kind) for part in timeline.segments] == [
        (0, 360, "good"),
        (360, 60, "bad"),
        (420, 60, "bad"),
        (720, 360, "idle"),
        (1080, 3, "bad"),
    ]
    assert timeline.segments[0].label == "12:00 to 18:00 UTC: connected"
    assert [(outage.minutes, outage.error) for outage in timeline.outages] == [(0, "late"), (120, "refused")]
    assert timeline.summary == "Reachable in 85.7% of the last 24 hours that were checked; 2 outages."


def test_a_day_without_checks_says_so() -> None:
    timeline = health_timeline(ServerHealth(SINCE, NOW, (), None))
    assert (timeline.segments, timeline.outages) == ((), ())
    assert timeline.summary == "No checks in the last 24 hours."
