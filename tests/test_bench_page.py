"""The page of all benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures import VARIABLE, Figure, read_figures, record
from bench.page import Run, page

RUN = Run("2026-01-31", "a machine, 2 cores", "python -m bench.everything", [("python -m bench.sync", "ok", 12.3)])


def test_the_page_shows_each_figure_what_it_has_to_reach_and_how_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.jsonl"
    record(Figure("Nobody", "asks", "p50", 1.0, "ms"))
    monkeypatch.setenv(VARIABLE, str(file))
    record(
        Figure("By tools", "650", "search, p50", 0.48, "ms", 650, 0.6),
        Figure("By tools", "5,194", "search, p50", 0.91, "ms", 5194, 0.8),
        Figure("Calls", "<direct>", "rate", 2362.4, "per second", target=2000.0),
    )
    shown = page(list(read_figures(file)), RUN)
    assert "Nobody" not in shown
    assert shown.count('class="met"') == 2
    assert shown.count('class="missed"') == 1
    assert shown.count("<polyline") == 1
    assert "&lt;direct&gt;" in shown
    assert "2,362" in shown
    assert "<td>python -m bench.sync</td><td>ok</td><td>12</td>" in shown
