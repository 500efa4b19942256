"""Options that say how a server is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.catalog.tuning import Tuning

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_SESSIONS = click.Choice(["shared", "per_client"])

_OPTIONS = (
    click.option("--connect-timeout", "connect_timeout_seconds", type=float, help="Seconds until it has to be ready."),
    click.option("--list-timeout", "list_timeout_seconds", type=float, help="Seconds for all of its list of tools."),
    click.option("--call-timeout", "call_timeout_seconds", type=float, help="Seconds for a call."),
    click.option("--max-calls", "max_calls_in_flight", type=int, help="Calls at the same time."),
    click.option("--session", type=_SESSIONS, help="One session for all, or for each client."),
    click.option("--idle-stop", "idle_stop_seconds", type=float, help="Seconds until an unused child stops; 0: never."),
    click.option("--sync-every", "sync_every_seconds", type=float, help="Seconds between syncs; 0: never by itself."),
)


def tuning_options(command: CommandT) -> CommandT:
    """The options, for a command that hands them to `read_tuning`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_tuning(given: dict[str, Any], before: Tuning) -> Tuning:
    """`before` with what the options say."""
    wanted = {field.name: given[field.name] for field in dataclasses.fields(Tuning) if given[field.name] is not None}
    return dataclasses.replace(before, **wanted)
