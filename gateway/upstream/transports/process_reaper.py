"""A tiny process that outlives a killed gateway just long enough to end the gateway's children.

A child of a process that dies by SIGKILL lives on. The parent-death signal of Linux reaches only the direct child, and
fires when the thread that started it ends. The reaper instead reads the children's process groups from a pipe whose
other end only the gateway holds: however the gateway ends, the pipe ends, and the reaper ends the groups.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from types import TracebackType

import anyio
from anyio.abc import Process
from typing_extensions import Self

INSTALLER_SECONDS = 60
"""How long a process that may be installing something has to end after it was told to."""

# `+` is a group to be ended, `~` one that may be installing, `-` one that has ended.
_SCRIPT = """
trap '' HUP INT TERM
groups= installing=
without() { left=; for g in $1; do [ "$g" = "$2" ] || left="$left $g"; done; }
while read -r verb group; do
  without "$groups" "$group"; groups=$left
  without "$installing" "$group"; installing=$left
  [ "$verb" = + ] && groups="$groups $group"
  [ "$verb" = '~' ] && installing="$installing $group"
done
[ -n "$groups$installing" ] || exit 0
for g in $groups $installing; do kill -TERM "-$g" 2>/dev/null; done
sleep 1
for g in $groups; do kill -KILL "-$g" 2>/dev/null; done
seconds=0
while [ -n "$installing" ] && [ "$seconds" -lt LONGEST ]; do
  left=; for g in $installing; do kill -0 "-$g" 2>/dev/null && left="$left $g"; done; installing=$left
  sleep 1
  seconds=$((seconds + 1))
done
for g in $installing; do kill -KILL "-$g" 2>/dev/null; done
""".replace("LONGEST", str(INSTALLER_SECONDS))


class ProcessReaper:
    """Ends the process groups it guards when the gateway is gone. Entered and left by the pool."""

    def __init__(self) -> None:
        self._groups: dict[int, str] = {}
        self._process: Process | None = None
        self._pipe: int | None = None
        self._starting = anyio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._end()

    async def add_group(self, group: int, *, installing: bool = False) -> None:
        """End process group `group` when this process is gone; one that may be `installing` gets time to end by itself.

        Starts the reaper where it does not run.
        """
        async with self._starting:
            self._groups[group] = "~" if installing else "+"
            if self._write(f"{self._groups[group]} {group}\n"):
                return
            await self._end()
            await self._start()
            self._write("".join(f"{verb} {known}\n" for known, verb in self._groups.items()))

    def installed(self, group: int) -> None:
        """Process group `group` installs nothing any more."""
        if self._groups.get(group) == "~":
            self._groups[group] = "+"
            self._write(f"+ {group}\n")

    def remove_group(self, group: int) -> None:
        """Process group `group` has ended."""
        self._groups.pop(group, None)
        self._write(f"- {group}\n")

    def _write(self, commands: str) -> bool:
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, commands.encode())
        except OSError:
            return False
        return True

    async def _start(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = await anyio.open_process(
                ["/bin/sh", "-c", _SCRIPT],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(reading)

    async def _end(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._process is not None:
            with anyio.move_on_after(3):
                await self._process.wait()
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.aclose()
            self._process = None
