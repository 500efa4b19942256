"""`modelgate` as a user starts it: as a process of its own, or within that of the test."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cli.in_process import run_in_process

ROOT = Path(__file__).parents[2]

_SECONDS = 60
_SERVING = ("serve", "demo", "connect")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands in a folder, with an environment; `group` is what each begins with.

    Each is a process of its own, but `in_process` those are not that need none: what serves takes signals.
    """

    environ: dict[str, str]
    folder: Path
    group: tuple[str, ...] = ()
    in_process: bool = False

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> CommandResult:
        """Run `modelgate` with these arguments and this input to its end; `environ` adds to the environment."""
        arguments, environ = (*self.group, *arguments), {**self.environ, **environ}
        if self.in_process and arguments[0] not in _SERVING:
            code, out, err = await asyncio.to_thread(run_in_process, arguments, environ, self.folder, stdin.encode())
        else:
            code, out, err = await self._start(arguments, environ, stdin.encode())
        assert b"Traceback" not in err
        return CommandResult(code, out.decode(), err.decode())

    async def succeed(self, *arguments: str, stdin: str = "") -> str:
        """What a command that ends with exit code 0 writes to its standard output."""
        result = await self(*arguments, stdin=stdin)
        assert result.code == 0, result.err
        return result.out

    async def fail(self, *arguments: str, stdin: str = "") -> str:
        """What a command that ends with exit code 1 writes to its standard error output."""
        result = await self(*arguments, stdin=stdin)
        assert result.code == 1, result
        return result.err

    async def _start(
        self, arguments: tuple[str, ...], environ: dict[str, str], stdin: bytes
    ) -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments),
            cwd=self.folder,
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), _SECONDS)
        assert process.returncode is not None
        return process.returncode, out, err
