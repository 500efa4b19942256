"""A package runner that installs for as long as a test wants, and minds being killed as the real ones do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gateway.upstream.spec import ServerSpec
from tests.upstream.conftest import SERVERS, raw

# It installs until there is a file `go`, rolls back for longer than other processes are given, and runs raw.py.
_RUNNER = """#!{python} -IS
import os, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
def roll_back(*_):
    (folder / "told").touch()
    time.sleep(1.6)
    (folder / "cache").write_text("whole")
    sys.exit(1)
signal.signal(signal.SIGTERM, roll_back)
(folder / "pid").write_text(str(os.getpid()))
(folder / "cache").write_text("half")
print("added 1 of 2 packages", file=sys.stderr, flush=True)
while not (folder / "go").exists():
    time.sleep(0.02)
(folder / "cache").write_text("whole")
signal.signal(signal.SIGTERM, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-I", "-S", {server!r}, *sys.argv[2:]])
"""


def runner(folder: Path, name: str = "npx", **changes: Any) -> ServerSpec:
    """A server that the package runner `name` in `folder` installs and starts."""
    command = folder / name
    command.write_text(_RUNNER.format(python=sys.executable, folder=str(folder), server=str(SERVERS / "raw.py")))
    command.chmod(0o755)
    return raw(command=str(command), args=("-y", "handshake"), **changes)
