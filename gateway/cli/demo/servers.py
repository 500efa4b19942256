"""The demo's upstream servers: Local MCP, and those of the listing that can be installed here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gateway.cli.demo.installer import DemoInstaller
from gateway.cli.demo.listing import DemoServer, examples_directory, read_listing
from gateway.cli.demo.workspace import prepare_workspace
from gateway.errors import InstallError

_INSTALL_SECONDS = 300.0


async def install_demo(
    directory: Path,
    report: Callable[[str], None],
    listing: Path | None = None,
    *,
    install_seconds: float = _INSTALL_SECONDS,
) -> list[DemoServer]:
    """Install the demo's servers below `directory` and return those that can be started, Local MCP first.

    `report` gets what happens, in single lines. `listing` is the list of servers, unless given the demo_servers.toml of
    the examples. A server that cannot be installed, or not within `install_seconds`, is named to `report` with the
    reason and left out; what an earlier run installed is used as it is. Raises InstallError when `directory` cannot be
    written or the examples are missing.
    """
    examples = examples_directory()
    installer = DemoInstaller(directory, report, install_seconds)
    entries = read_listing(listing or examples / "demo_servers.toml")
    try:
        await prepare_workspace(installer.workspace, seconds=install_seconds)
        installed = await installer.install(entries)
    except OSError as error:
        raise InstallError(
            f"The demo directory {installer.directory} cannot be written ({error.strerror}); "
            "change its permissions or set server.data_dir to another one."
        ) from None
    local = DemoServer(
        name="Local MCP",
        command=sys.executable,
        args=(str(examples / "local_mcp.py"), "--root", str(installer.workspace)),
        env={},
        description="Calculator, typical weather, system information and file search on this machine.",
    )
    return [local, *(installer.server(entry) for entry in entries if entry.name in installed)]
