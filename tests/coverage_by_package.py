"""What the tests reach, by package, and the modules of which they reach least: a report of `coverage json` in short.

Run by `make coverage`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LEAST_COVERED = 10


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many modules there are, and of their statements and branches how many there are and how many are reached."""

    modules: int = 0
    statements: int = 0
    statements_reached: int = 0
    branches: int = 0
    branches_reached: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.modules + other.modules,
            self.statements + other.statements,
            self.statements_reached + other.statements_reached,
            self.branches + other.branches,
            self.branches_reached + other.branches_reached,
        )

    @property
    def percent(self) -> float:
        """The share that is reached of statements and branches together, as coverage.py counts it; 100 of nothing."""
        everything = self.statements + self.branches
        return 100 * (self.statements_reached + self.branches_reached) / everything if everything else 100.0


def read_report(report: Path) -> dict[str, Coverage]:
    """Coverage by module, its path from the root of the checkout, as `coverage json` wrote it."""
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    return {
        path: Coverage(
            1,
            file["summary"]["num_statements"],
            file["summary"]["covered_lines"],
            file["summary"]["num_branches"],
            file["summary"]["covered_branches"],
        )
        for path, file in files.items()
    }


def by_package(modules: dict[str, Coverage]) -> dict[str, Coverage]:
    """Coverage by package, without that of the packages below it, in the order of their names."""
    packages: dict[str, Coverage] = defaultdict(Coverage)
    for path, coverage in modules.items():
        packages[".".join(PurePosixPath(path).parent.parts)] += coverage
    return dict(sorted(packages.items()))


def least_covered(modules: dict[str, Coverage]) -> dict[str, Coverage]:
    """The modules of which the smallest shares are reached, the smallest first."""
    return dict(sorted(modules.items(), key=lambda item: (item[1].percent, item[0]))[:LEAST_COVERED])


def table(title: str, rows: Iterable[tuple[str, Coverage]]) -> list[str]:
    """The rows as lines below a heading."""
    lines = [f"{title:<48} {'modules':>8} {'statements':>16} {'branches':>14} {'reached':>8}"]
    for name, coverage in rows:
        statements = f"{coverage.statements_reached}/{coverage.statements}"
        branches = f"{coverage.branches_reached}/{coverage.branches}"
        lines.append(f"{name:<48} {coverage.modules:>8} {statements:>16} {branches:>14} {coverage.percent:>7.1f}%")
    return lines


def main() -> None:
    modules = read_report(Path(sys.argv[1]))
    total = sum(modules.values(), Coverage())
    lines = table("package", [*by_package(modules).items(), ("all", total)])
    lines += ["", *table(f"the {LEAST_COVERED} least covered modules", least_covered(modules).items())]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
