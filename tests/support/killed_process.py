"""A process that has the gateway imported, and forks for each piece of work that is to be killed in its midst.

It reads a line of JSON for each: `act` with what it takes, and the environment that settings are read from. The process
that does it writes its number, and begins with the next line that is sent; once it has ended, its exit code is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import Components, open_components
from gateway.settings import load_settings

ROOT = Path(__file__).parents[2]


@dataclass(eq=False)
class KilledProcess:
    """The process that forks."""

    process: asyncio.subprocess.Process
    environ: dict[str, str]

    async def prepare(self, act: str, **arguments: Any) -> int:
        """Have a process ready to do something; returns its number."""
        await self._send({"act": act, "arguments": arguments, "environ": self.environ})
        return int(await self._line())

    async def go(self) -> int:
        """Let it do that; returns its exit code, which is negative where a signal has ended it."""
        await self._send({})
        return int(await self._line())

    async def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        return await self.process.stdout.readline()


@contextlib.asynccontextmanager
async def killed_process(environ: dict[str, str]) -> AsyncIterator[KilledProcess]:
    """Such a process; settings are read from `environ`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed_process"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield KilledProcess(process, environ)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _act(act: str, arguments: dict[str, Any], environ: dict[str, str]) -> None:
    async with open_components(load_settings(environ=environ)) as parts:
        if act == "switch":
            await parts.spaces.configured_space()
        os.write(1, b"%d\n" % os.getpid())
        sys.stdin.readline()
        await _do(parts, act, **arguments)


async def _do(parts: Components, act: str, **arguments: Any) -> None:
    if act == "sync":
        await parts.sync.run(1, arguments["server"])
    elif act == "rollback":
        await parts.sync.restore(1, arguments["server"], arguments["version"])
    else:
        await VectorFiller(parts.database, parts.spaces, parts.categories).fill()


def main() -> None:
    """Fork for each line, until there are no more."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            asyncio.run(_act(**json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
