"""The directory that the demo's file, Git and search tools work in."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.cli.demo.installer_process import run_installer

_SAMPLES = {
    "README.md": "# Demo workspace\n\nThe demo's file, Git and search tools work in this directory.\n",
    "notes/groceries.md": "- apples\n- bread\n- coffee\n",
    "notes/meeting.md": "# Planning\n\n- Ship the release on Thursday.\n- Ask Ada about the database migration.\n",
    "data/temperatures.csv": "city,month,celsius\nTokyo,7,26\nCairo,7,28\nToronto,7,22\n",
}


async def prepare_workspace(workspace: Path, *, seconds: float) -> None:
    """Write the sample files and put them into a Git repository, once; each step of Git takes `seconds` at most."""
    if workspace.is_dir():
        return
    for name, text in _SAMPLES.items():
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if shutil.which("git") is None:
        return
    # The user's own Git settings may ask for signatures or run hooks.
    ours = ("user.name=ModelGate", "user.email=demo@localhost", "commit.gpgsign=false", "core.hooksPath=/dev/null")
    git = ["git", "-C", str(workspace), *(word for setting in ours for word in ("-c", setting))]
    for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Sample files"]):
        await run_installer([*git, *step], seconds=seconds)
