"""Plain charts: the geometry of bars over time, for a template to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH, HEIGHT = 640, 130
_LEFT, _BOTTOM, _TOP = 56, 18, 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, and the label that is shown when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars and the labels of the axes; `ticks` are (x, text) each, `middle` and `bottom` the y of lines across."""

    bars: tuple[Bar, ...]
    maximum: str
    middle: float
    bottom: float
    ticks: tuple[tuple[float, str], ...]
    is_empty: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One moment with its parts, stacked from the bottom: (kind, size)."""

    at: datetime
    parts: tuple[tuple[str, float], ...]
    label: str


def bar_chart(columns: Sequence[Column], unit: str = "") -> Chart:
    """Columns side by side, the largest as high as the chart."""
    largest = max((sum(size for _, size in column.parts) for column in columns), default=0.0)
    top = _round_up(largest)
    room = (WIDTH - _LEFT) / max(len(columns), 1)
    high = HEIGHT - _BOTTOM - _TOP
    drawn = []
    for position, column in enumerate(columns):
        reached = float(HEIGHT - _BOTTOM)
        for kind, size in column.parts:
            if size <= 0:
                continue
            height = max(size / top * high, 1.0)
            reached -= height
            x = round(_LEFT + position * room, 2)
            width = round(max(room - 1.5, 1), 2)
            drawn.append(Bar(x, round(reached, 2), width, round(height, 2), kind, column.label))
    every = max(len(columns) // 6, 1)
    days = len(columns) > 1 and (columns[-1].at - columns[0].at).total_seconds() > 86_400
    ticks = tuple(
        (round(_LEFT + position * room, 1), column.at.strftime("%d %b" if days else "%H:%M"))
        for position, column in enumerate(columns)
        if position % every == 0
    )
    maximum = f"{top:,.0f}" if top >= 10 else f"{top:g}"
    return Chart(tuple(drawn), f"{maximum}{unit}", _TOP + high / 2, HEIGHT - _BOTTOM, ticks, largest <= 0)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)
