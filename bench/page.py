"""One page of all figures: a table for each group, bars beside what is compared, and plots of what grows.

python -m bench.page FIGURES [--out .bench/report.html]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.figures import Figure, read_figures

_WIDTH, _HEIGHT, _MARGIN = 360, 200, 40
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2024 }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .2rem .8rem .2rem 0; text-align: right }
th:first-child, td:first-child, td:last-child { text-align: left }
th { border-bottom: 1px solid #8888; font-weight: 600 }
.met { color: #137a3f } .missed { color: #b3261e } .bar { display: inline-block; height: .6rem; background: #5b7fd6 }
figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { font-size: .9rem } pre { white-space: pre-wrap }
svg text { font: 11px system-ui, sans-serif; fill: currentColor }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e6e8ea } }
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What was run: when, on which machine, by which command, and of each benchmark how it went and its seconds."""

    date: str
    machine: str
    command: str
    outcomes: Sequence[tuple[str, str, float]]


def page(figures: Sequence[Figure], run: Run) -> str:
    """The whole page."""
    groups = list(dict.fromkeys(figure.group for figure in figures))
    parts = [
        f"<p>{escape(run.date)}, {escape(run.machine)}<br><code>{escape(run.command)}</code></p>",
        _targets(figures),
        *(_group(group, [figure for figure in figures if figure.group == group]) for group in groups),
        "<h2>Runs</h2>",
        _table(["benchmark", "outcome", "s"], [[name, how, f"{took:.0f}"] for name, how, took in run.outcomes]),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>ModelGate, measured</title><style>{_STYLE}</style><h1>ModelGate, measured</h1>{''.join(parts)}"
        "</html>\n"
    )


def shown(value: float, unit: str) -> str:
    """A number with as many digits as tell something."""
    digits = 0 if value >= 100 or unit in ("per second", "count") else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _targets(figures: Iterable[Figure]) -> str:
    rows = [
        [
            f"{figure.group}: {figure.name}, {figure.measure}",
            f"{shown(figure.value, figure.unit)} {figure.unit}",
            f"{'≥' if figure.unit == 'per second' else '≤'} {figure.target:g}",
            "reached" if figure.is_reached else "missed",
        ]
        for figure in figures
        if figure.target is not None
    ]
    if not rows:
        return ""
    marked = [[*map(escape, row[:3]), f'<span class="{_CLASSES[row[3]]}">{row[3]}</span>'] for row in rows]
    return "<h2>What is to be reached</h2>" + _raw_table(["", "measured", "to reach", ""], marked)


_CLASSES = {"reached": "met", "missed": "missed"}


def _group(title: str, figures: Sequence[Figure]) -> str:
    measures = list(dict.fromkeys(figure.measure for figure in figures))
    names = list(dict.fromkeys(figure.name for figure in figures))
    by_place = {(figure.name, figure.measure): figure for figure in figures}
    units = {figure.measure: figure.unit for figure in figures}
    head = ["", *(f"{measure}, {units[measure]}" if units[measure] != "ratio" else measure for measure in measures)]
    longest = max((figure.value for figure in figures if figure.measure == measures[0]), default=1.0) or 1.0
    rows = []
    for name in names:
        cells = [escape(name)]
        for measure in measures:
            figure = by_place.get((name, measure))
            cells.append("" if figure is None else shown(figure.value, figure.unit))
        first = by_place.get((name, measures[0]))
        width = 0.0 if first is None else 140 * first.value / longest
        rows.append([*cells, f'<span class="bar" style="width:{width:.0f}px"></span>'])
    plots = "".join(_plot(measure, units[measure], figures) for measure in measures)
    return f"<h2>{escape(title)}</h2>{_raw_table([*head, ''], rows)}{plots}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return _raw_table(head, [list(map(escape, row)) for row in rows])


def _raw_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    headed = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{headed}</tr>{body}</table>"


def _plot(measure: str, unit: str, figures: Iterable[Figure]) -> str:
    """A line over the size, both axes logarithmic: what grows as fast as the size is a diagonal."""
    points = sorted(
        (figure.size, figure.value)
        for figure in figures
        if figure.measure == measure and figure.size and figure.value > 0
    )
    if len(points) < 2:
        return ""
    places = [(math.log10(size), math.log10(value)) for size, value in points]
    left, right = places[0][0], places[-1][0]
    low, high = min(y for _, y in places) - 0.1, max(y for _, y in places) + 0.1

    def x(value: float) -> float:
        return _MARGIN + (value - left) / (right - left) * (_WIDTH - 2 * _MARGIN)

    def y(value: float) -> float:
        return _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in places)
    dots = "".join(
        f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3" fill="#5b7fd6"/>'
        f'<text x="{x(at):.1f}" y="{y(value) - 8:.1f}" text-anchor="middle">{shown(raw, unit)}</text>'
        f'<text x="{x(at):.1f}" y="{_HEIGHT - 15}" text-anchor="middle">{size:,}</text>'
        for (at, value), (size, raw) in zip(places, points, strict=True)
    )
    return (
        f'<figure><svg width="{_WIDTH}" height="{_HEIGHT}" role="img"><polyline points="{line}" fill="none" '
        f'stroke="#5b7fd6" stroke-width="2"/>{dots}</svg><figcaption>{escape(measure)}, {unit}</figcaption></figure>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".bench/report.html"))
    given = parser.parse_args()
    run = Run("", "", f"python -m bench.page {given.figures}", ())
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(page(list(read_figures(given.figures)), run), encoding="utf-8")
    print(given.out)


if __name__ == "__main__":
    main()
