"""Options that say how a server is used: its timeouts, limits and intervals."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from gateway.catalog.servers.tuning import Tuning
from gateway.cli.options import option_group

_SESSIONS = click.Choice(["shared", "per_client"])

tuning_options = option_group(
    click.option("--connect-timeout", "connect_timeout_seconds", type=float, help="Seconds until it has to be ready."),
    click.option(
        "--start-timeout", "start_timeout_seconds", type=float, help="Seconds until its command has to answer."
    ),
    click.option("--list-timeout", "list_timeout_seconds", type=float, help="Seconds for all of its list of tools."),
    click.option("--call-timeout", "call_timeout_seconds", type=float, help="Seconds for a call."),
    click.option("--max-calls", "max_calls_in_flight", type=int, help="Calls at the same time."),
    click.option("--session", type=_SESSIONS, help="One session for all, or for each client."),
    click.option("--idle-stop", "idle_stop_seconds", type=float, help="Seconds until an unused child stops; 0: never."),
    click.option("--sync-every", "sync_every_seconds", type=float, help="Seconds between syncs; 0: never by itself."),
)


def read_tuning(options: dict[str, Any], before: Tuning) -> Tuning:
    """`before` with what the options say."""
    changes = {field.name: options[field.name] for field in dataclasses.fields(Tuning)}
    return dataclasses.replace(before, **{name: value for name, value in changes.items() if value is not None})
