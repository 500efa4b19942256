"""The models of the Ollama that the settings mean: listed, pulled in the background, tried, copied and removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import current_actor
from gateway.embedding.servers.ollama_models import ListedModel, OllamaModels, ShownModel
from gateway.embedding.servers.server_factory import open_ollama_models
from gateway.errors import ConflictError, ModelGateError, NotFoundError
from gateway.settings import EmbedderSettings
from gateway.task_set import TaskSet

_MAX_PULLS_AT_ONCE = 2
_MAX_JOBS = 20
_WARM_TEXT = "warm up"

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}$")]
KeepAlive = Annotated[str, Field(pattern=r"^(-?[0-9]{1,9}|([0-9]{1,9}(ms|s|m|h)){1,4})?$")]


@dataclass(frozen=True, slots=True)
class ModelList:
    """What the `server` at that address has; `configured` is the model of the settings, empty where it is not one of
    Ollama's.
    """

    server: str
    configured: str
    models: tuple[ListedModel, ...]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One model."""

    name: ModelName

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class PullFilter:
    """The pull of one model, or all of them."""

    name: ModelName | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ModelCopyInput:
    """A model, and the second name that it is to have."""

    name: ModelName
    new_name: ModelName

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ModelRemovalInput:
    """The models to remove."""

    names: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=100)]

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ModelTestInput:
    """A text to embed as it is."""

    name: ModelName
    text: Annotated[str, Field(min_length=1, max_length=4_000)]

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ModelWarmInput:
    """A model to load; `keep_alive` is how long it stays loaded, as 30m, 24h or -1, empty for Ollama's choice."""

    name: ModelName
    keep_alive: KeepAlive = ""

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ModelTest:
    """A vector that a model made, and in how many milliseconds."""

    dimensions: int
    milliseconds: float
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model that could not be removed, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelRemoval:
    """What became of models that were to be removed."""

    removed: tuple[str, ...]
    left: tuple[KeptModel, ...]


@dataclass(frozen=True, slots=True)
class PullJob:
    """A pull, from its beginning until the model has made a vector.

    `status` is the step in Ollama's words, `completed` of `total` bytes are there of its part, both 0 for a step
    without a size. `dimensions` and `milliseconds` are those of the first vector, where `state` is done; `error` is a
    sentence where it is failed.
    """

    name: str
    state: Literal["running", "done", "failed"]
    status: str
    started_at: datetime
    completed: int = 0
    total: int = 0
    ended_at: datetime | None = None
    dimensions: int | None = None
    milliseconds: float | None = None
    error: str | None = None


class ModelService:
    """Looks after Ollama's models. One pull of a model at a time: who starts a second joins the first."""

    def __init__(self, settings: EmbedderSettings, recorder: AuditRecorder) -> None:
        self._settings = settings
        self._recorder = recorder
        self._jobs: dict[str, PullJob] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()
        self._limit = asyncio.Semaphore(_MAX_PULLS_AT_ONCE)
        self._changed = asyncio.Event()

    async def list(self) -> ModelList:
        """All models that are there. Raises EmbeddingError where Ollama does not answer."""
        configured = self._settings.model if self._settings.type in ("auto", "ollama") else ""
        async with self._open() as ollama:
            return ModelList(ollama.label, configured, tuple(await ollama.installed()))

    async def show(self, name: str) -> ShownModel:
        """What a model says of itself. Raises NotFoundError and EmbeddingError."""
        async with self._open() as ollama:
            return await ollama.show(name)

    async def copy(self, wanted: ModelCopyInput) -> None:
        """Have a model under a second name, too. Raises NotFoundError and EmbeddingError."""
        self._recorder.require_writable()
        async with self._open() as ollama:
            await ollama.copy(wanted.name, wanted.new_name)
        self._record("model.copied", wanted.name, new_name=wanted.new_name)

    async def remove(self, wanted: ModelRemovalInput) -> ModelRemoval:
        """Remove models; where one cannot be, the others are all the same."""
        self._recorder.require_writable()
        removed, left = [], []
        async with self._open() as ollama:
            for name in dict.fromkeys(wanted.names):
                try:
                    await ollama.remove(name)
                    removed.append(name)
                    self._record("model.removed", name)
                except ModelGateError as error:
                    left.append(KeptModel(name, error.message))
        return ModelRemoval(tuple(removed), tuple(left))

    async def test(self, wanted: ModelTestInput) -> ModelTest:
        """The vector that a model makes of a text. Raises NotFoundError and EmbeddingError."""
        return await self._test(wanted.name, wanted.text, "")

    async def warm(self, wanted: ModelWarmInput) -> ModelTest:
        """Load a model. Raises NotFoundError and EmbeddingError."""
        return await self._test(wanted.name, _WARM_TEXT, wanted.keep_alive)

    def start_pull(self, wanted: ModelInput) -> PullJob:
        """Start a pull, or join the one that runs. Raises ConflictError where too many run already."""
        key = _key(wanted.name)
        if key in self._running:
            return self._jobs[key]
        if len(self._running) >= _MAX_JOBS:
            raise ConflictError(f"{len(self._running)} pulls run or wait already; start this one when some are done.")
        self._recorder.require_writable()
        job = PullJob(wanted.name, "running", "waiting", datetime.now(timezone.utc))
        self._jobs.pop(key, None)
        self._update(job)
        self._forget_oldest()
        self._running[key] = self._tasks.spawn(self._pull(wanted.name))
        return job

    async def stop_pull(self, wanted: ModelInput) -> None:
        """Stop a pull; what has come stays with Ollama. Raises NotFoundError where none runs."""
        task = self._running.get(_key(wanted.name))
        if task is None:
            raise NotFoundError(f"No pull of {wanted.name} runs.")
        task.cancel()
        await asyncio.wait([task])

    def pulls(self) -> tuple[PullJob, ...]:
        """The latest pull of each model that was pulled from here, the newest first."""
        return tuple(reversed(self._jobs.values()))

    async def follow(self, name: str | None = None) -> AsyncIterator[PullJob]:
        """Each state of the pull of a model, or of every pull, from now until none of them runs.

        A follower that is slow misses states in between, never the last.
        """
        yielded: dict[str, PullJob] = {}
        while True:
            changed = self._changed
            jobs = {key: job for key, job in self._jobs.items() if name is None or key == _key(name)}
            for key, job in jobs.items():
                if yielded.get(key) is not job:
                    yielded[key] = job
                    yield job
            if changed is self._changed:
                if all(job.state != "running" for job in jobs.values()):
                    return
                await changed.wait()

    async def aclose(self) -> None:
        """Stop what is being pulled; a repeat goes on from there."""
        await self._tasks.aclose()

    def _open(self) -> OllamaModels:
        return open_ollama_models(self._settings)

    async def _test(self, name: str, text: str, keep_alive: str) -> ModelTest:
        async with self._open() as ollama:
            tried = await ollama.test(name, text, keep_alive)
        return ModelTest(len(tried.vector), round(tried.milliseconds, 1), tuple(map(float, tried.vector)))

    async def _pull(self, name: str) -> None:
        key = _key(name)
        error, tested = "It was stopped; pull it again, and it goes on where it was.", None
        try:
            async with self._limit, self._open() as ollama:
                async for step in ollama.pull(name):
                    self._update(
                        replace(self._jobs[key], status=step.status, completed=step.completed, total=step.total)
                    )
                self._update(replace(self._jobs[key], status="making a first vector", completed=0, total=0))
                tested = await ollama.test(name, _WARM_TEXT)
        except ModelGateError as failure:
            error = failure.message
        finally:
            del self._running[key]
            job = replace(self._jobs[key], ended_at=datetime.now(timezone.utc), completed=0, total=0)
            if tested is not None:
                milliseconds = round(tested.milliseconds, 1)
                job = replace(
                    job, state="done", status="done", dimensions=len(tested.vector), milliseconds=milliseconds
                )
            else:
                job = replace(job, state="failed", error=error)
            self._update(job)
            self._record("model.pulled", name, failed=tested is None)

    def _update(self, job: PullJob) -> None:
        self._jobs[_key(job.name)] = job
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _forget_oldest(self) -> None:
        ended = [key for key in self._jobs if key not in self._running and self._jobs[key].state != "running"]
        for key in ended[: len(self._jobs) - _MAX_JOBS]:
            del self._jobs[key]

    def _record(self, action: str, name: str, *, failed: bool = False, **details: str) -> None:
        self._recorder.record(AuditEvent(current_actor(), action, name, "failed" if failed else "ok", details=details))


def _key(name: str) -> str:
    """By which Ollama knows a model."""
    return name.removesuffix(":latest").lower()
