"""What workers are told by the process that started them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.serving.worker_supervisor import WorkerSupervisor
from tests.support.waiting import until

# Ends two seconds after the first signal, as one with a call under way; each signal leaves a line.
_WORKER = """#!{python}
import os, signal, socket, sys, threading
place = sys.argv[-1].split(":")
log, told = {log!r}, threading.Event()
def note(*_):
    with open(log, "a") as file:
        file.write(f"{{os.getpid()}} told\\n")
    told.set()
signal.signal(signal.SIGTERM, note)
with open(log, "a") as file:
    file.write(f"{{os.getpid()}} begun\\n")
socket.socket(fileno=int(place[1])).send(b"r")
while not told.wait(0.05):
    pass
threading.Event().wait(2)
"""


async def test_a_stop_while_a_worker_is_started_anew_reaches_each_worker_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, worker = tmp_path / "log", tmp_path / "worker"
    worker.write_text(_WORKER.format(python=sys.executable, log=str(log)))
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    start, started = asyncio.create_subprocess_exec, 0

    async def start_and_be_stopped(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        nonlocal started
        process = await start(*command, **options)
        started += 1
        if started == 3:
            await until(lambda: len(lines("begun")) == 3)
            supervisor._stop()
            # Else two signals may come as one.
            await until(lambda: len(lines("told")) == 1)
        return process

    def lines(what: str) -> list[int]:
        text = log.read_text() if log.exists() else ""
        return [int(line.split()[0]) for line in text.splitlines() if line.endswith(what)]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_be_stopped)
    with socket.socket() as listener:
        supervisor = WorkerSupervisor(listener, 2, None)
        running = asyncio.create_task(supervisor.run())
        await until(lambda: len(lines("begun")) == 2 and supervisor._was_ready)
        first, second = lines("begun")
        os.kill(first, signal.SIGKILL)
        await asyncio.wait_for(running, 30)
    (third,) = set(lines("begun")) - {first, second}
    assert sorted(lines("told")) == sorted((second, third))
