"""The browser of the tests: Debian's Chromium, installed where that may be done."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_PLACE = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """The path of Chromium; None where there is none and it cannot be installed."""
    found = shutil.which("chromium") or (_PLACE if Path(_PLACE).exists() else None)
    if found is not None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return found
    # Several test processes find it missing at once; one installs it.
    with (Path(tempfile.gettempdir()) / "modelgate-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not Path(_PLACE).exists():
            environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            packages = ["chromium", "fonts-dejavu-core"]
            for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
                subprocess.run(["apt-get", "-qq", *command], env=environ, check=False, stdout=subprocess.DEVNULL)
    return _PLACE if Path(_PLACE).exists() else None
