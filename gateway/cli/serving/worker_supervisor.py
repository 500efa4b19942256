"""Several processes that serve one port: started, watched, started anew where one dies, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

from gateway.backoff import Backoff
from gateway.errors import WorkerFailedError

logger = logging.getLogger(__name__)

_RESTART = Backoff(first_seconds=0.1, longest_seconds=10.0)
_STABLE_SECONDS = 10.0
_READY = b"r"


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker gets from the process that started it: descriptors of the port's socket and of a socket that ends
    when that process does; and whether it is the one that says that the gateway is ready.
    """

    listener: int
    control: int
    announces: bool

    def __str__(self) -> str:
        return f"{self.listener}:{self.control}:{int(self.announces)}"

    @classmethod
    def parse(cls, text: str) -> WorkerPlace:
        """What `str` made. Raises ValueError for anything else."""
        listener, control, announces = map(int, text.split(":"))
        return cls(listener, control, bool(announces))


class WorkerSupervisor:
    """Starts workers as new interpreters: a fork would share threads' locks without the threads."""

    def __init__(self, listener: socket.socket, workers: int, config_file: Path | None) -> None:
        self._listener = listener
        self._workers = workers
        self._command = [sys.executable, "-m", "gateway"]
        if config_file is not None:
            self._command += ["--config", str(config_file)]
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._was_ready = False

    async def run(self) -> None:
        """Until a signal stops it, and every worker has ended.

        Raises WorkerFailedError where a worker fails before any has been ready, as it said itself why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        keeping = [asyncio.create_task(self._keep(index)) for index in range(self._workers)]
        try:
            await asyncio.gather(*keeping)
        finally:
            self._stop()
            await asyncio.gather(*keeping, return_exceptions=True)

    def _stop(self) -> None:
        """Pass the signal on; a second one ends workers at once, as it does by itself."""
        self._stopping.set()
        for process in self._processes.values():
            _terminate(process)

    async def _keep(self, index: int) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run_worker(index)
            if self._stopping.is_set():
                return
            if not self._was_ready:
                raise WorkerFailedError(code)
            failures = 0 if loop.time() - started > _STABLE_SECONDS else failures + 1
            logger.warning("Worker %d ended with code %d and is started anew.", index, code)
            with anyio.move_on_after(_RESTART.delay(max(1, failures))):
                await self._stopping.wait()

    async def _run_worker(self, index: int) -> int:
        """Run one until it ends; returns its exit code."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        place = WorkerPlace(self._listener.fileno(), theirs.fileno(), announces=index == 0 and not self._was_ready)
        with ours:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    "serve",
                    "--worker",
                    str(place),
                    pass_fds=(place.listener, place.control),
                    # Ctrl+C is for this process, which passes it on.
                    start_new_session=True,
                )
            self._processes[index] = process
            noticing = asyncio.create_task(self._notice_ready(ours))
            if self._stopping.is_set():
                # The others have been told: a second signal would cut off what they have under way.
                _terminate(process)
            try:
                return await process.wait()
            finally:
                noticing.cancel()
                del self._processes[index]

    async def _notice_ready(self, control: socket.socket) -> None:
        if await asyncio.get_running_loop().sock_recv(control, 1) == _READY:
            self._was_ready = True


def _terminate(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)


class SupervisorLink:
    """A worker's side: tells that it is ready, and notices that the process which started it is gone."""

    def __init__(self, place: WorkerPlace) -> None:
        self._control = socket.socket(fileno=place.control)
        self._control.setblocking(False)

    async def tell_ready(self) -> None:
        """The worker answers requests."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._control, _READY)

    async def wait_gone(self) -> None:
        """Returns when the supervisor has ended."""
        with contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(self._control, 1):
                pass


def open_worker_listener(place: WorkerPlace) -> socket.socket:
    """The socket of the port, which all workers accept from."""
    return socket.socket(fileno=place.listener)
