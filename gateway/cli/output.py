"""What commands print: tables, times, and text from elsewhere made harmless for a terminal."""

from __future__ import annotations

from datetime import datetime, timezone

import click

_TAIL_LINES = 10
_LINE_CHARACTERS = 300


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print rows under a head, in columns as wide as they need to be."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


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
