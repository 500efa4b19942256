"""The report of `make coverage`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.coverage_by_package import LEAST_COVERED, Coverage, by_package, least_covered, read_report


def summary(statements: int, reached: int, branches: int = 0, branches_reached: int = 0) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "num_statements": statements,
            "covered_lines": reached,
            "num_branches": branches,
            "covered_branches": branches_reached,
        }
    }


def test_modules_are_added_up_by_the_package_that_they_stand_in(tmp_path: Path) -> None:
    files = {
        "gateway/app.py": summary(10, 10),
        "gateway/search/finder.py": summary(10, 6, 4, 1),
        "gateway/search/score.py": summary(6, 6),
        "gateway/search/index/memory.py": summary(1, 0),
    }
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}), encoding="utf-8")
    assert by_package(read_report(report)) == {
        "gateway": Coverage(1, 10, 10),
        "gateway.search": Coverage(2, 16, 12, 4, 1),
        "gateway.search.index": Coverage(1, 1, 0),
    }


def test_branches_count_as_statements_do_and_a_module_without_either_is_covered() -> None:
    assert Coverage(1, 10, 8, 10, 4).percent == 60
    assert Coverage(1).percent == 100


def test_the_least_covered_modules_come_first() -> None:
    modules = {f"gateway/{number}.py": Coverage(1, 100, number) for number in range(20)}
    assert list(least_covered(modules))[:2] == ["gateway/0.py", "gateway/1.py"]
    assert len(least_covered(modules)) == LEAST_COVERED
