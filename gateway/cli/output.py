"""What commands print: tables, times, and text from elsewhere made harmless for a terminal."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import click

_TAIL_LINES = 10
_LINE_CHARACTERS = 300
# How a state is shown in a table.
_STYLES = {
    **dict.fromkeys(("synced", "connected", "in force", "active", "ALLOW", "set up", "serves"), "green"),
    **dict.fromkeys(("failing", "failed", "revoked", "expired", "DENY", "suspended", "quarantined"), "red"),
    **dict.fromkeys(("disabled", "never synced", "never", "not set up", "starting", "flagged"), "yellow"),
}


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print rows under a head: a table that fits a terminal, elsewhere plain columns as wide as they need to be."""
    if sys.stdout.isatty():
        _print_rich_table(head, rows)
        return
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich_table(head: list[str], rows: list[list[str]]) -> None:
    # Only a terminal is worth the time that it takes to import.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell.split(",")[0].split(":")[0], "")) for cell in row))
    Console(highlight=False).print(table)


def print_json(value: Any) -> None:
    """Print dataclasses, mappings, lists and plain values as JSON, times in ISO 8601."""
    click.echo(json.dumps(value, default=_json_value, ensure_ascii=False, indent=2))


def _json_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def printable(text: str, length: int = 1_000) -> str:
    """Text from elsewhere made harmless for a terminal: one line, no control characters, at most `length` long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= length else line[: length - 1] + "…"


def format_time(moment: datetime | None) -> str:
    """A time to the minute, in UTC; "never" for None."""
    return "never" if moment is None else f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M}"


def stderr_tail(text: str) -> list[str]:
    """The last lines of what a server wrote to its standard error output, under a heading; nothing for nothing."""
    # The kept end may begin in the middle of a line, and any of it may be meant for a terminal.
    lines = [printable(line.rstrip(), _LINE_CHARACTERS) for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    return ["  It wrote to its standard error output:", *(f"  | {line}" for line in lines)] if lines else []
