"""The command line, on a database of the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.database.pool import open_database
from gateway.settings import load_settings
from tests.cli.process import CommandLine
from tests.cli.shell import Shell
from tests.support.catalogue import add_tools
from tests.support.cluster import Cluster


@pytest.fixture
def modelgate(database_url: str, tmp_path: Path) -> CommandLine:
    """Runs `modelgate` with arguments, in the test's folder."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")},
        "MODELGATE_DATABASE_URL": database_url,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "200",
    }
    return CommandLine(environ, tmp_path, in_process=True)


@pytest.fixture
def servers(modelgate: CommandLine) -> CommandLine:
    """Runs `modelgate servers` with arguments."""
    return replace(modelgate, group=("servers",))


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """Runs commands on a database of their own, which has three tools."""
    name = asyncio.run(cluster.create())
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_DATA_DIR": str(tmp_path),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_CONFIG": "/dev/null",
    }

    async def fill() -> None:
        async with open_database(load_settings(environ=environ), size=2) as database:
            await add_tools(
                database, 1, [("github", "create", "git"), ("github", "delete", "git"), ("files", "read", "other")]
            )

    asyncio.run(fill())
    yield Shell(environ)
    asyncio.run(cluster.drop(name))
