"""The geometry of charts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from gateway.admin.web.presentation.chart import Column, bar_chart

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def test_bars_fill_the_chart_and_no_more() -> None:
    columns = [Column(NOW + timedelta(hours=n), (("search", n), ("call", 1.0)), str(n)) for n in range(24)]
    chart = bar_chart(columns)
    assert chart.maximum == "50"
    assert min(bar.y for bar in chart.bars) >= 8
    assert max(bar.y + bar.height for bar in chart.bars) <= chart.bottom + 1e-6
    assert bar_chart([]).is_empty


def test_an_axis_of_more_than_a_day_has_dates() -> None:
    def labels(hours: int, columns: int) -> set[str]:
        chart = bar_chart([Column(NOW + timedelta(hours=n * hours), (("search", 1.0),), "") for n in range(columns)])
        return {label for _, label in chart.ticks}

    assert "21 Nov" in labels(6, 120)
    assert "12:00" in labels(1, 24)
