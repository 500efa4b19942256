"""A worker process of a plugin, as the gateway has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import anyio

from gateway.errors import GuardError
from gateway.json_codec import decode, encode

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_START_SECONDS = 10.0
# What a plugin needs to be found and to run, and nothing that the gateway keeps to itself.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
# Where the gateway is gone, a worker ends itself after this much more than its budget.
_GRACE = 4.0


class WorkerProcess:
    """One process, which answers one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process, plugin: str) -> None:
        self._process = process
        self._plugin = plugin
        self._is_killed = False

    @classmethod
    async def start(cls, plugin: str, settings: Mapping[str, Any], budget_seconds: float) -> WorkerProcess:
        """A process whose plugin is loaded. Raises GuardError for one that does not load, within ten seconds."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.guards.plugin.worker",
                plugin,
                str(budget_seconds * _GRACE),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
                start_new_session=True,
                limit=_MAX_ANSWER_BYTES,
            )
        except OSError as error:
            raise GuardError(f"no process could be started for its plugin ({error.strerror})") from None
        worker = cls(process, plugin)
        try:
            said = await asyncio.wait_for(worker._exchange(dict(settings)), _START_SECONDS)
        except (asyncio.TimeoutError, TimeoutError):
            await worker.end()
            raise GuardError(f"its plugin did not load within {_START_SECONDS:g} s") from None
        except BaseException:
            await worker.end()
            raise
        if not said.get("ready"):
            await worker.end()
            logger.error("The plugin %s does not load: %s", plugin, str(said.get("failed"))[:1_000])
            raise GuardError("its plugin does not load; the gateway's log says why")
        return worker

    async def ask(self, question: Mapping[str, Any]) -> Any:
        """What the plugin answers. Raises GuardError where it raises, or its process ends; who asks bounds the time."""
        said = await self._exchange(question)
        if "answer" not in said:
            logger.error("The plugin %s failed: %s", self._plugin, str(said.get("failed"))[:1_000])
            raise GuardError("its plugin failed; the gateway's log says why")
        return said["answer"]

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None and not self._is_killed

    def kill(self) -> None:
        """End the process, and what it has started, at once."""
        self._is_killed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End it, and return when it has ended."""
        self.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with anyio.CancelScope(shield=True):
            await self._process.wait()

    async def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(encode(message) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        except OSError:
            line = b""
        except ValueError:
            self.kill()
            raise GuardError(f"its plugin answered with more than {_MAX_ANSWER_BYTES:,} bytes") from None
        if not line.endswith(b"\n"):
            raise GuardError("the process of its plugin has ended")
        try:
            said = decode(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise GuardError("its plugin answered with something that is not JSON")
        return said
