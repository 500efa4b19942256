"""The process of a stdio server: started in a process group of its own, and ended with all that it started."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from mcp.client.stdio import get_default_environment

from gateway.errors import UpstreamUnavailableError
from gateway.masking import MIN_SECRET_CHARACTERS, SecretMask
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transports.package_runner import find_package_runner
from gateway.upstream.transports.process_reaper import INSTALLER_SECONDS, ProcessReaper

logger = logging.getLogger(__name__)

MAX_STDERR_BYTES = 64 * 1024
"""How much of the end of a child's standard error output is kept, in bytes."""

_GOODBYE_SECONDS = 2.0
_TERMINATE_SECONDS = 1.0
_STDERR_SECONDS = 0.5
_POLL_SECONDS = 0.01

# The shell waits for a line before it becomes the server, so that the reaper knows the process group first.
_GATE = 'read -r _ || exit 1; exec "$@"'


class ChildProcess:
    """A running server process. `stdin` and `stdout` carry its messages."""

    def __init__(
        self,
        server: str,
        process: Process,
        reaper: ProcessReaper,
        secrets: Collection[str] = (),
        runner: str | None = None,
    ) -> None:
        """`secrets` are masked in whatever is shown of what the process of `server` writes. Where a package `runner` is
        what was started, the process may be installing the server until `mark_installed`.
        """
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a child process needs its three pipes")
        self.stdin: ByteSendStream = process.stdin
        self.stdout: ByteReceiveStream = process.stdout
        self._stderr: ByteReceiveStream = process.stderr
        self._server = server
        self._process = process
        self._reaper = reaper
        self._installing = runner
        self._stderr_ended = anyio.Event()
        self._tail = bytearray()
        self._mask = SecretMask(text for text in secrets if len(text) >= MIN_SECRET_CHARACTERS)

    @classmethod
    async def start(cls, spec: ServerSpec, reaper: ProcessReaper) -> ChildProcess:
        """Start the command of `spec` with the environment that the SDK hands on and `spec.env`.

        Raises UpstreamUnavailableError where there is no such command or directory.
        """
        reason = spec.policy.command_refusal(spec.command or "", spec.env)
        if reason is not None:
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} is not started: {reason}; correct it or the guards."
            )
        env = get_default_environment() | dict(spec.env)
        command = _find_command(spec, env.get("PATH", os.defpath))
        try:
            process = await anyio.open_process(
                ["/bin/sh", "-c", _GATE, "sh", command, *spec.args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=spec.cwd,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UpstreamUnavailableError(
                spec.name, f"Server {spec.name} cannot be started: {error}; correct its command and arguments."
            ) from None
        runner = find_package_runner(command, spec.args)
        child = cls(spec.name, process, reaper, spec.env.values(), runner)
        try:
            await reaper.add_group(process.pid, installing=runner is not None)
            with contextlib.suppress(anyio.BrokenResourceError):
                await child.stdin.send(b"\n")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await child.stop()
            raise
        return child

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process lives."""
        return self._process.returncode

    def mark_installed(self) -> None:
        """What was to be installed is: the server has answered."""
        if self._installing is not None:
            self._installing = None
            self._reaper.installed(self._process.pid)

    def stderr(self) -> str:
        """The last 64 KiB of the standard error output, without the secrets that the process was given."""
        return self.masked_text(self._tail)

    def masked_text(self, output: bytes | bytearray) -> str:
        """What the process wrote, as it may be shown."""
        return self._mask.mask_text(output.decode("utf-8", errors="replace"))

    async def collect_stderr(self) -> None:
        """Read the standard error output until it ends, keeping its end."""
        try:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                while True:
                    self._tail += await self._stderr.receive()
                    del self._tail[:-MAX_STDERR_BYTES]
        finally:
            self._stderr_ended.set()

    async def wait_stderr(self) -> None:
        """Wait for the last words of a process that has ended; not for descendants that keep its output open."""
        with anyio.move_on_after(_STDERR_SECONDS):
            await self._stderr_ended.wait()

    async def wait_exit(self, seconds: float, poll: float = _POLL_SECONDS) -> bool:
        """Whether the process ends within `seconds`, looking every `poll` seconds.

        The exit code is polled: waiting for the process would also wait for pipes that its own children hold open.
        """
        deadline = time.monotonic() + seconds
        while self._process.returncode is None:
            if time.monotonic() >= deadline:
                return False
            await anyio.sleep(poll)
        return True

    async def stop(self) -> None:
        """End the process and all of its group: its input closes, then SIGTERM, then SIGKILL.

        What may be installing has a minute between the last two: half an installation would stay broken for good.
        """
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self.stdin.aclose()
        if not await self.wait_exit(_GOODBYE_SECONDS):
            self._signal(signal.SIGTERM)
            if not await self.wait_exit(_TERMINATE_SECONDS) and self._installing is not None:
                await self._wait_for_installer(self._installing)
        self._signal(signal.SIGKILL)
        await self.wait_exit(_TERMINATE_SECONDS)
        self._reaper.remove_group(self._process.pid)
        for stream in (self.stdout, self._stderr):
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                await stream.aclose()
        self._close_transport()

    async def _wait_for_installer(self, runner: str) -> None:
        logger.warning(
            "%s may still be installing server %s: it was told to end, and has %d s for that",
            runner,
            self._server,
            INSTALLER_SECONDS,
        )
        if not await self.wait_exit(INSTALLER_SECONDS):
            logger.warning("%s of server %s did not end and is killed; its cache may be broken", runner, self._server)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _close_transport(self) -> None:
        # A descendant that left the group may hold a pipe open, and asyncio would then warn of an unclosed transport.
        transport = getattr(getattr(self._process, "_process", None), "_transport", None)
        if transport is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                transport.close()


def _find_command(spec: ServerSpec, path: str) -> str:
    """The command of `spec` as a file, or UpstreamUnavailableError."""
    if spec.cwd is not None and not Path(spec.cwd).is_dir():
        raise UpstreamUnavailableError(
            spec.name, f"Server {spec.name} cannot be started: its directory {spec.cwd} does not exist; correct it."
        )
    command = spec.command or ""
    where = str(Path(spec.cwd or ".", command)) if os.sep in command else command
    found = shutil.which(where, path=path) if command else None
    if found is None:
        raise UpstreamUnavailableError(
            spec.name,
            f"Server {spec.name} cannot be started: there is no command {command!r}; install it or correct its path.",
        )
    return str(Path(found).absolute())
