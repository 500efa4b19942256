"""`modelgate` as a process of its own, as a user starts it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands in a folder, with an environment; `group` is what each begins with."""

    environ: dict[str, str]
    folder: Path
    group: tuple[str, ...] = ()

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> CommandResult:
        """Run `modelgate` with these arguments and this input to its end; `environ` adds to the environment."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *self.group, *arguments),
            cwd=self.folder,
            env={**self.environ, **environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), _SECONDS)
        assert b"Traceback" not in err
        assert process.returncode is not None
        return CommandResult(process.returncode, out.decode(), err.decode())

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
