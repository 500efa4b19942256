"""Options that several commands have, and what their values are read as."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

import click

from gateway.access.tenants import DEFAULT_TENANT

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_SPAN = re.compile(r"(0|[1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

tenant_option = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="The tenant, by its slug.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def ask_secret(label: str) -> str:
    """What is typed at a terminal without being shown; what is no terminal shows nothing, and is read as it is."""
    return str(click.prompt(label, hide_input=sys.stdin.isatty(), err=True))


def in_tenant(tenant: str) -> str:
    """What a command that is named as the next step ends with, so that it is of this tenant."""
    return "" if tenant == DEFAULT_TENANT else f" --tenant {shlex.quote(tenant)}"


def option_group(*options: Callable[[Any], Any]) -> Callable[[CommandT], CommandT]:
    """A decorator that gives a command several options, which its help lists in this order."""

    def decorate(command: CommandT) -> CommandT:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def parse_time_span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    """The callback of an option whose value is 30d, 12h or 90m. Raises BadParameter."""
    if value is None:
        return None
    span = _time_span(value)
    if span is None:
        raise click.BadParameter(f"{value!r} is no time span; write 30d, 12h or 90m.")
    return span


def parse_time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """The callback of an option whose value is a time, in UTC unless it says otherwise, or the span since then.

    Raises BadParameter.
    """
    if value is None:
        return None
    span = _time_span(value)
    if span:
        return datetime.now(timezone.utc) - span
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time; write 2026-01-31, or 30d, 12h, 90m for so long ago.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _time_span(value: str) -> timedelta | None:
    match = _SPAN.fullmatch(value)
    return None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
