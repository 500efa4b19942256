"""Published servers, installed once below `.cache` of the checkout."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.demo.listing import DemoServer
from gateway.cli.demo.servers import install_demo

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "real_servers"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process of the test run at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def published() -> Mapping[str, DemoServer]:
    """The servers by name; the first run on a machine installs them, which takes a minute."""
    for program in ("node", "npm", "git"):
        if shutil.which(program) is None:
            pytest.fail(f"These tests run published servers, which takes {program}; install it.")
    said: list[str] = []
    with alone(CACHE.with_suffix(".lock")):
        installed = asyncio.run(install_demo(CACHE, said.append, HERE / "servers.toml"))
    servers = {server.name: server for server in installed}
    missing = {"Everything", "Filesystem", "Memory", "Git", "SQLite", "Thinking", "Time", "Calculator"} - servers.keys()
    if missing:
        pytest.fail(f"{', '.join(sorted(missing))} could not be installed: " + " ".join(said))
    return servers
