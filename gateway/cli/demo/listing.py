"""The demo's upstream servers, as demo_servers.toml lists them: published ones of the Python and npm registries."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import InstallError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class DemoServer:
    """How to start one upstream server over stdio; `command` is an absolute path."""

    name: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    description: str


@dataclass(frozen=True, slots=True)
class DemoServerEntry:
    """One entry of demo_servers.toml; it has either `python` requirements or one `npm` package."""

    name: str
    description: str
    command: str
    python: Sequence[str] = ()
    npm: str = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def examples_directory() -> Path:
    """Where the examples are: inside an installed package, or beside it in a checkout. Raises InstallError."""
    package = Path(__file__).resolve().parents[2]
    for directory in (package / "examples", package.parent / "examples"):
        if (directory / "local_mcp.py").is_file():
            return directory
    raise InstallError(
        "The examples are not part of this installation; install modelgate-mcp from its wheel or a checkout."
    )


def read_listing(path: Path) -> list[DemoServerEntry]:
    """The entries of a file like demo_servers.toml."""
    return [DemoServerEntry(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["server"]]
