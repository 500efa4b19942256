"""The machine: data folder, disk, port, clock, and programs that servers are started with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from gateway.cli.doctor.check_result import CheckResult
from gateway.cli.local_url import local_url
from gateway.settings import Settings

_LOW_DISK_BYTES = 1024**3
_SECONDS = 2.0
_MAX_CLOCK_SECONDS = 60.0
_EARLIEST = datetime(2026, 1, 1, tzinfo=timezone.utc)


def check_data_folder(settings: Settings) -> Iterator[CheckResult]:
    """Whether the data folder can be written, and how much room is left there."""
    folder = settings.data_dir
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield CheckResult(
            "data folder",
            "problem",
            f"{folder} cannot be written.",
            "Change its permissions, or set server.data_dir to another folder.",
        )
        return
    state = "is there" if folder == existing else "is made at the first start"
    yield CheckResult("data folder", "ok", f"{folder} {state}.")
    free = shutil.disk_usage(existing).free
    if free < _LOW_DISK_BYTES:
        yield CheckResult(
            "disk",
            "warning",
            f"{free / 1024**2:,.0f} MiB are free at {existing}.",
            "Make room, or set server.data_dir to a folder on another disk; audit.retention_days says how long calls "
            "are kept.",
        )
    else:
        yield CheckResult("disk", "ok", f"{free / 1024**3:,.1f} GiB are free at {existing}.")


def check_port(settings: Settings) -> CheckResult:
    """Whether the gateway, or something else, listens at its address."""
    url = local_url(settings)
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=_SECONDS) as response:  # noqa: S310  # nosec
            if "status" in json.loads(response.read(10_000)):
                return CheckResult("port", "ok", f"A gateway answers at {url}.")
    except (OSError, ValueError):
        pass
    host, port = settings.server.host or "127.0.0.1", settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return CheckResult(
            "port",
            "problem",
            f"{host}:{port} cannot be listened on ({error.strerror or error}), and no gateway answers there.",
            "Stop what uses it, or set server.port to another port.",
            "port",
        )
    return CheckResult("port", "ok", f"{host}:{port} is free; no gateway runs there.")


def check_clock(database_now: datetime) -> CheckResult:
    """Whether this machine's clock can be right; tokens and keys end by it."""
    now = datetime.now(timezone.utc)
    apart = abs((now - database_now).total_seconds())
    step = "Set the clock, and have it kept by NTP (timedatectl set-ntp true): tokens and keys end by it."
    if now < _EARLIEST:
        return CheckResult("clock", "problem", f"It is said to be {now:%Y-%m-%d %H:%M} UTC.", step)
    if apart > _MAX_CLOCK_SECONDS:
        return CheckResult("clock", "problem", f"It and the database's clock are {apart:,.0f} s apart.", step)
    return CheckResult("clock", "ok", f"It is {now:%Y-%m-%d %H:%M} UTC, {apart:.1f} s from the database's.")


_PROGRAMS = {
    "npx": "Install Node.js 20 or newer (https://nodejs.org); servers that are npm packages are started with npx.",
    "uvx": "Install uv (https://docs.astral.sh/uv); servers that are Python packages are started with uvx.",
    "docker": "Install Docker (https://docs.docker.com/engine/install); servers that are images are started with it.",
}


def check_programs(commands: dict[str, list[str]]) -> Iterator[CheckResult]:
    """Programs by which servers are started; `commands` are those of servers in use, with the names of these."""
    for program, step in _PROGRAMS.items():
        found = shutil.which(program)
        needing = commands.get(program, [])
        if found is not None:
            yield CheckResult(program, "ok", f"It is {found}.")
        elif needing:
            yield CheckResult(program, "problem", f"It is not on the PATH, and {', '.join(needing)} needs it.", step)
        else:
            yield CheckResult(program, "ok", "It is not on the PATH; no server needs it.")
    for command, needing in commands.items():
        if command not in _PROGRAMS and shutil.which(command) is None and not Path(command).is_file():
            yield CheckResult(
                command,
                "problem",
                f"It is not on the PATH, and {', '.join(needing)} needs it.",
                "Install it, or give its whole path with modelgate servers set.",
            )
