"""Running a command's work: the settings are read, logging is set up, and the work runs on an event loop to its end."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.access.tenants import tenant_by_slug
from gateway.database.actor import Actor, acting_as
from gateway.database.pool import Database, open_database
from gateway.settings import Settings, load_settings
from gateway.telemetry.logs import configure_logging

ResultT = TypeVar("ResultT")

# A command needs few connections: one a sync at a time, and one to work with.
POOL_SIZE = 8


def load_command_settings(context: click.Context, *, log_level: str | None = None) -> Settings:
    """The settings in force, with logging set up as they say, or at `log_level`."""
    path: Path | None = context.find_root().obj
    settings = load_settings(path)
    configure_logging(log_level or settings.server.log_level, settings.server.log_format)
    return settings


def run_async(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run `work` to its end, on uvloop where it exists; what it changes is done by whoever is at the command line."""
    with acting_as(Actor("command line", _user_name())):
        if sys.platform != "win32":
            try:
                import uvloop
            except ImportError:
                pass
            else:
                return uvloop.run(work())
        return asyncio.run(work())


def run_with_database(context: click.Context, work: Callable[[Database], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run `work` with the database of the settings in force."""
    settings = load_command_settings(context, log_level="warning")

    async def open_and_work() -> ResultT:
        async with open_database(settings, size=POOL_SIZE) as database:
            return await work(database)

    return run_async(open_and_work)


def run_with_tenant(
    context: click.Context, tenant: str, work: Callable[[Database, int], Coroutine[Any, Any, ResultT]]
) -> ResultT:
    """Run `work` with the database and the id of the tenant of that slug. Raises NotFoundError where there is none."""

    async def find_and_work(database: Database) -> ResultT:
        return await work(database, (await tenant_by_slug(database, tenant)).id)

    return run_with_database(context, find_and_work)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
