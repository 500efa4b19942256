"""Standard input and output as lines, without ever holding up the end of the process.

Reading and writing block, so each has a thread. The threads are daemons: one that waits for a client that says nothing,
or reads nothing, could not be ended otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

_MAX_LINES_AHEAD = 100


class StandardStreams:
    """To be made on the event loop that uses it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(_MAX_LINES_AHEAD)
        self._out: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        for work in (self._read_all, self._write_all):
            threading.Thread(target=work, daemon=True).start()

    async def read_line(self) -> bytes:
        """The next line; empty at the end of the input."""
        line = await self._lines.get()
        self._room.release()
        return line

    async def write_line(self, line: bytes) -> None:
        """Write a line. Raises OSError where nobody reads it any more."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._out.put((line, written))
        await written

    def _read_all(self) -> None:
        # Input that cannot be read, as of a terminal that is gone, has ended: nobody would wait for anything else.
        # A reader of its own: that of `sys.stdin` would be locked by this thread when the interpreter closes it.
        with contextlib.suppress(OSError), open(sys.stdin.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                self._room.acquire()
                self._call_in_loop(self._lines.put_nowait, line)
        self._call_in_loop(self._lines.put_nowait, b"")

    def _write_all(self) -> None:
        while True:
            line, written = self._out.get()
            try:
                view = memoryview(line)
                while view:
                    view = view[os.write(sys.stdout.fileno(), view) :]
            except OSError as error:
                self._call_in_loop(_settle, written, error)
                return
            self._call_in_loop(_settle, written, None)

    def _call_in_loop(self, what: Callable[..., Any], *about: Any) -> None:
        # A loop that has ended wants to know nothing more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *about)


def _settle(written: asyncio.Future[None], error: OSError | None) -> None:
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
