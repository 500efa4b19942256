"""Figures that benchmarks leave for the page: one JSON object a line, in the file of $BENCH_FIGURES."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

VARIABLE = "BENCH_FIGURES"

Unit = Literal["ms", "s", "per second", "MiB", "KiB", "%", "count", "ratio"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: `name` is a row of the table of `group`, `measure` its column.

    `size` is what it grows with, as the number of tools, and makes a plot; `target` is what it may be at most, or what
    it has to be at least where it is counted per second.
    """

    group: str
    name: str
    measure: str
    value: float
    unit: Unit
    size: int | None = None
    target: float | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.unit == "per second" else self.value <= self.target


def record(*figures: Figure) -> None:
    """Leave figures, where somebody wants them."""
    file = os.environ.get(VARIABLE)
    if file:
        with open(file, "a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(figure)) + "\n" for figure in figures)


def read_figures(file: Path) -> Iterable[Figure]:
    """Those that were left in `file`, in their order."""
    if not file.exists():
        return []
    return [Figure(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
