"""What docs/reliability.md promises is shown by tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_is_named_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    found = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_[a-z0-9_]+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert named <= found
    # Of each fault a metric is named; that there are those, tests/test_monitoring.py looks.
    faults = text.partition("# What holds when parts fail")[2]
    rows = [line for line in faults.splitlines() if line.startswith("| ") and not line.startswith("| Fault")]
    assert len(rows) > 25
    assert [row for row in rows if not re.search(r"\| `(modelgate|process)_[a-z_]+", row)] == []
    assert all((ROOT / path).exists() for path in re.findall(r"`((?:tests|bench)/[a-z0-9_/]+\.py)`", text))
