"""What every command does first: read the settings, set up logging, and run its work on an event loop."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.database.actor import Actor, acting_as
from gateway.database.pool import Database, open_database
from gateway.settings import Settings, load_settings
from gateway.telemetry import configure_logging

ResultT = TypeVar("ResultT")

# A command needs few connections: one a sync at a time, and one to work with.
CONNECTIONS = 8

_TAIL_LINES = 10
_LINE_CHARACTERS = 300


def settings_of(context: click.Context, *, log_level: str | None = None) -> Settings:
    """The settings in force, with logging set up as they say, or at `log_level`."""
    path: Path | None = context.find_root().obj
    settings = load_settings(path)
    configure_logging(log_level or settings.server.log_level)
    return settings


def run(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run `work` to its end, on uvloop where it exists; what it changes is done by whoever is at the command line."""
    with acting_as(Actor("command line", _user())):
        return _run(work)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _run(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    if sys.platform != "win32":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.run(work())
    return asyncio.run(work())


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print rows under a head, in columns as wide as they need to be."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def plain(text: str, length: int = 1_000) -> str:
    """Text from elsewhere made harmless for a terminal: one line, no control characters, at most `length` long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= length else line[: length - 1] + "…"


def tail(text: str) -> list[str]:
    """The last lines of what a server wrote to its standard error output, under a heading; nothing for nothing."""
    # The kept end may begin in the middle of a line, and any of it may be meant for a terminal.
    lines = [plain(line.rstrip(), _LINE_CHARACTERS) for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    return ["  It wrote to its standard error output:", *(f"  | {line}" for line in lines)] if lines else []


def on_database(context: click.Context, work: Callable[[Database], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run `work` on the database of the settings in force."""
    settings = settings_of(context, log_level="warning")

    async def opened() -> ResultT:
        async with open_database(settings, size=CONNECTIONS) as database:
            return await work(database)

    return run(opened)
