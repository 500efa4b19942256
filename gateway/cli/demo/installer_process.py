"""The process of an installer: pip, npm or Git."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio

from gateway.errors import InstallError


async def run_installer(command: Sequence[str], *, seconds: float) -> None:
    """Run an installer to its end, for `seconds` at most. It and its children never outlive this.

    Raises InstallError with the reason that it gave.
    """
    with tempfile.TemporaryFile() as output:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            with anyio.fail_after(seconds):
                code = await process.wait()
        except TimeoutError:
            raise InstallError(f"{Path(command[0]).name} did not end within {seconds:.0f} s.") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                with anyio.CancelScope(shield=True):
                    await process.wait()
        if code != 0:
            output.seek(0)
            raise InstallError(
                _read_reason(output.read().decode(errors="replace")) or f"{command[0]} ended with code {code}."
            )


def _read_reason(output: str) -> str:
    """The sentence in an installer's output that tells why it failed."""
    try:
        return str(json.loads(output)["error"]["summary"])
    except (ValueError, KeyError, TypeError):
        if "require a different python version" in output:
            return f"Its package does not support Python {sys.version_info.major}.{sys.version_info.minor}."
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return lines[-1].removeprefix("ERROR: ") if lines else ""
