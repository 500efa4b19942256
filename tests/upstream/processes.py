"""Looking at processes from outside, and waiting for what comes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio


def children(parent: int | None = None) -> set[int]:
    """The direct children of process `parent`, by default of this one."""
    parent = os.getpid() if parent is None else parent
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _field(int(entry.name), "PPid") == str(parent):
            found.add(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    state = _field(pid, "State")
    return state is not None and not state.startswith("Z")


async def gone(*pids: int) -> None:
    """Wait until none of the processes runs."""
    await until(lambda: not any(alive(pid) for pid in pids))


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for something that tells nobody when it happens."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


def memory(pid: int | None = None) -> int:
    """The resident memory of a process in bytes."""
    value = _field(os.getpid() if pid is None else pid, "VmRSS")
    return int(value.split()[0]) * 1024 if value else 0


def _field(pid: int, name: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), None)
