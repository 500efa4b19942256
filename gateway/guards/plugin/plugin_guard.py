"""The guard that asks a plugin."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.circuit_breaker import CircuitBreaker
from gateway.errors import GuardError
from gateway.guards.content import Content
from gateway.guards.guard_protocol import build_question, parse_guard_answer
from gateway.guards.inspection import Inspection
from gateway.guards.plugin.worker_process import WorkerProcess
from gateway.task_set import TaskSet

_MAX_WORKERS = 2
_MAX_FAILURES = 5
_PAUSE_SECONDS = 30.0


class PluginGuard:
    """Asks worker processes, of which there are two at most. One that takes longer than the budget is ended.

    Starting a process takes longer than any budget, and is none of the plugin's: it has ten seconds of its own. A
    plugin that fails five times in a row is left alone for half a minute.
    """

    def __init__(self, name: str, plugin: str, settings: Mapping[str, Any], budget_seconds: float) -> None:
        """`name` is that of the rule."""
        self._name = name
        self._plugin = plugin
        self._settings = settings
        self._budget_seconds = budget_seconds
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._places = asyncio.Semaphore(_MAX_WORKERS)
        self._breaker = CircuitBreaker(_MAX_FAILURES, _PAUSE_SECONDS)
        self._ending = TaskSet()
        self._is_closed = False

    async def inspect(self, content: Content) -> Inspection:
        """Raises GuardError, and asyncio.TimeoutError where it takes longer than its budget."""
        is_probe = not self._breaker.is_closed
        if is_probe and not self._breaker.begin_probe():
            seconds = max(1, math.ceil(self._breaker.seconds_left))
            raise GuardError(f"its plugin has failed {self._breaker.failures} times and is asked again in {seconds} s")
        try:
            async with self._worker() as worker:
                asked = build_question(self._name, content, uuid.uuid4().hex)
                answer = await asyncio.wait_for(worker.ask(asked), self._budget_seconds)
            inspection = parse_guard_answer(content, answer)
        except (GuardError, asyncio.TimeoutError, TimeoutError):
            self._breaker.record_failure()
            raise
        finally:
            if is_probe:
                self._breaker.end_probe()
        self._breaker.record_success()
        return inspection

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator[WorkerProcess]:
        """A process that nobody else asks meanwhile. One whose answer did not come is ended."""
        await asyncio.wait_for(self._places.acquire(), self._budget_seconds)
        try:
            worker = self._idle.pop() if self._idle else None
            if worker is None or not worker.is_running:
                worker = await self._start()
            is_in_step = False
            try:
                yield worker
                is_in_step = True
            except GuardError:
                is_in_step = worker.is_running
                raise
            finally:
                if is_in_step and not self._is_closed:
                    self._idle.append(worker)
                else:
                    self._all.discard(worker)
                    worker.kill()
                    self._ending.spawn(worker.end())
        finally:
            self._places.release()

    async def warm_up(self) -> None:
        """Have a process ready before it is asked. One that does not start is told of when it is."""
        with contextlib.suppress(GuardError, asyncio.TimeoutError):
            async with self._worker():
                pass

    async def aclose(self) -> None:
        """End every process."""
        self._is_closed = True
        workers = list(self._all)
        self._all.clear()
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))
        await self._ending.wait()

    async def _start(self) -> WorkerProcess:
        worker = await WorkerProcess.start(self._plugin, self._settings, self._budget_seconds)
        if self._is_closed:
            await worker.end()
            raise GuardError("it was changed meanwhile")
        self._all.add(worker)
        return worker
