"""Named SQL statements, read from `sql/*.sql`.

A block begins with `-- name: some_name`; the comment lines after it say what it does. Behind the name stands `(lookup)`
where it finds a few rows by their keys and somebody waits for them, `(bulk)` where it may go through a whole catalogue,
and `(connection)` where it changes, and tells of, nothing but the connection at tenant $1, person $2 and server $3. A
block may hold `{{other_block}}`, which stands for the text of that block, and `{name}` places for whole numbers that
PostgreSQL does not take as parameters, such as the dimensions in a cast; nothing else is ever put into a statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, TypeAlias, cast

_BLOCK = re.compile(r"^-- name: ([a-z][a-z0-9_]*)(?: \((lookup|bulk|connection)\))?\s*$", re.MULTILINE)

StatementKind: TypeAlias = Literal["lookup", "bulk", "connection", "other"]


@dataclass(frozen=True, slots=True)
class _Block:
    kind: StatementKind
    text: str


def statements() -> dict[str, str]:
    """Every statement by name. Raises ValueError for a name that stands twice."""
    return {name: block.text for name, block in _blocks().items()}


@cache
def statement_kind(name: str) -> StatementKind:
    """What the statement called `name` does, and so how long it may take."""
    return _blocks()[name].kind


@cache
def _blocks() -> dict[str, _Block]:
    found: dict[str, _Block] = {}
    folder = resources.files("gateway.database") / "sql"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _BLOCK.split(file.read_text(encoding="utf-8"))
        for name, kind, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if name in found:
                raise ValueError(f"The statement {name} stands twice in gateway/database/sql.")
            found[name] = _Block(cast(StatementKind, kind or "other"), body.strip())
    return found


@cache
def statement(name: str, **numbers: int) -> str:
    """The statement called `name`, its `{places}` filled with whole numbers."""
    text = re.sub(r"\{\{([a-z0-9_]+)\}\}", lambda other: statement(other[1]), _blocks()[name].text)
    for place, number in numbers.items():
        if type(number) is not int:
            raise TypeError(f"{place} in {name} has to be a whole number.")
        text = text.replace("{" + place + "}", str(number))
    return text


def escape_like(text: str) -> str:
    """`text` with nothing in it that LIKE would take for a pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
