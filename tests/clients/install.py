"""Published MCP clients, each in an environment of its own below `.cache/clients` of the checkout.

python -m tests.clients.install
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".cache" / "clients"
PYTHON = FOLDER / "python" / "bin" / "python"
NODE = FOLDER / "node"
PROGRAMS = NODE / "node_modules" / ".bin"

PYTHON_PACKAGES = ("mcp==1.30.0",)
NODE_PACKAGES = (
    "@modelcontextprotocol/sdk@1.32.2",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/inspector@2.12.0",
    "mcp-remote@0.15.1",
)
_STAMP = FOLDER / "installed"
_STAMP_TEXT = "\n".join((*PYTHON_PACKAGES, *NODE_PACKAGES, str(FOLDER)))


def absence() -> str | None:
    """Why the clients cannot be run, None where they can."""
    missing = [program for program in ("node", "npm", "curl") if shutil.which(program) is None]
    if missing:
        return f"This machine has no {' and no '.join(missing)}; the clients take them."
    if not _is_installed():
        return "The clients are not installed; run make clients, which takes a package registry."
    return None


def install() -> None:
    """Install what is not there as listed above. Raises CalledProcessError and FileNotFoundError."""
    with _alone():
        if _is_installed():
            return
        shutil.rmtree(FOLDER / "python", ignore_errors=True)
        shutil.rmtree(NODE, ignore_errors=True)
        NODE.mkdir(parents=True)
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        subprocess.run(["npm", "install", "--prefix", str(NODE), *quiet, *NODE_PACKAGES], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / "python")], check=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*pip, *PYTHON_PACKAGES], check=True)
        _STAMP.write_text(_STAMP_TEXT, encoding="utf-8")


def _is_installed() -> bool:
    return _STAMP.is_file() and _STAMP.read_text(encoding="utf-8") == _STAMP_TEXT


@contextmanager
def _alone() -> Iterator[None]:
    """One installation at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        install()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        sys.exit(f"The clients could not be installed: {error}.{os.linesep}Tests of them are skipped.")
