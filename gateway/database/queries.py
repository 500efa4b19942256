"""Named SQL statements, read from `sql/*.sql`.

A block begins with `-- name: some_name`; the comment lines after it say what it does. A block may hold
`{{other_block}}`, which stands for the text of that block, and `{name}` places for whole numbers that PostgreSQL does
not take as parameters, such as the dimensions in a cast; nothing else is ever put into a statement.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_BLOCK = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Every statement by name. Raises ValueError for a name that stands twice."""
    found: dict[str, str] = {}
    folder = resources.files("gateway.database") / "sql"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _BLOCK.split(file.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"The statement {name} stands twice in gateway/database/sql.")
            found[name] = body.strip()
    return found


@cache
def statement(name: str, **numbers: int) -> str:
    """The statement called `name`, its `{places}` filled with whole numbers."""
    text = re.sub(r"\{\{([a-z0-9_]+)\}\}", lambda other: statement(other[1]), statements()[name])
    for place, number in numbers.items():
        if type(number) is not int:
            raise TypeError(f"{place} in {name} has to be a whole number.")
        text = text.replace("{" + place + "}", str(number))
    return text
