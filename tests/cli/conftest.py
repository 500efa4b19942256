"""The command line, on a database of the test's own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.process import CommandLine


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
    return CommandLine(environ, tmp_path)


@pytest.fixture
def servers(modelgate: CommandLine) -> CommandLine:
    """Runs `modelgate servers` with arguments."""
    return replace(modelgate, group=("servers",))
