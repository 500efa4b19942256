"""What CONTRIBUTING tells a newcomer of the code is true of it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_module_on_the_three_ways_is_there() -> None:
    ways = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("Three ways")[2].partition("### Words")[0]
    named = re.findall(r"`([\w/]+\.py)`", ways)
    modules = [f"/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "gateway").rglob("*.py")]
    assert len(named) > 30
    assert [name for name in named if not any(module.endswith(f"/{name}") for module in modules)] == []


def test_no_package_and_no_module_outgrows_the_house() -> None:
    packages = [path.parent for path in (ROOT / "gateway").rglob("__init__.py")]
    modules = {package: [each for each in package.glob("*.py") if each.name != "__init__.py"] for package in packages}
    assert len(packages) > 50
    assert [package.name for package in packages if len(modules[package]) > 16] == []
    long = [each.name for package in packages for each in modules[package] if len(_lines(each)) > 400]
    assert long == []


def test_no_two_classes_share_a_name() -> None:
    names = [
        node.name
        for path in (ROOT / "gateway").rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(names) > 500
    assert [name for name, count in Counter(names).items() if count > 1] == []


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()
