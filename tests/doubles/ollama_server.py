"""Ollama as a server of models: what it answers to lists, pulls, copies and removals."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.embedding_server import EmbeddingServer

PullFault = Literal["unknown_error", "no_network", "disk_full", "cut", "cut_early", "stalled", "retries"]
"""How a pull goes wrong when half of the bytes have come: an error that nobody knows, no network (before any byte), a
full disk, a connection that breaks (there, or after each eighth of them), the same number of bytes again and again, and
that until Ollama gives up."""

SIZE = 45_949_440
_LAYER = "sha256:330437513712" + "0" * 52


class OllamaServer(EmbeddingServer):
    """An `EmbeddingServer` that has `library` to pull from, goes wrong as `pull_fault` says for `faulty_pulls` of them,
    and keeps models in `undeletable` whatever it is asked.

    `pulled_from` records at which byte each pull began, `keep_alives` what requests for vectors asked for. With
    `writes`, what it says to a prompt, its models are language models, too; `prompts` records what came.
    """

    def __init__(self, *, models: tuple[str, ...] = (), library: tuple[str, ...] = ("nomic-embed-text",)) -> None:
        super().__init__(models=models)
        self.library = library
        self.pull_fault: PullFault | None = None
        self.faulty_pulls = 100
        self.undeletable: tuple[str, ...] = ()
        self.pulled_from: list[int] = []
        self.keep_alives: list[Any] = []
        self.writes: Callable[[str], str] | None = None
        self.prompts: list[str] = []
        self._come = 0
        self._pulls_may_go = threading.Event()
        self._pulls_may_go.set()

    def hold_pulls(self) -> None:
        """Let pulls stand still after their first line, until `let_pulls_go`."""
        self._pulls_may_go.clear()

    def let_pulls_go(self) -> None:
        """Let pulls go on."""
        self._pulls_may_go.set()

    def _application(self) -> Starlette:
        application = super()._application()
        application.router.routes += [
            Route("/api/pull", self._pull, methods=["POST"]),
            Route("/api/copy", self._copy, methods=["POST"]),
            Route("/api/delete", self._delete, methods=["DELETE"]),
            Route("/api/generate", self._generate, methods=["POST"]),
        ]
        return application

    async def _embed(self, request: Request) -> Response:
        keep_alive = (await request.json()).get("keep_alive")
        self.keep_alives.append(keep_alive)
        if isinstance(keep_alive, str) and not re.fullmatch(r"-?(\d+(ms|s|m|h))+", keep_alive):
            return JSONResponse({"error": f'time: invalid duration "{keep_alive}"'}, 400)
        return await super()._embed(request)

    async def _pull(self, request: Request) -> Response:
        name = (await request.json())["model"]
        if not re.fullmatch(r"[\w.:/-]+", name):
            return JSONResponse({"error": "invalid model name"}, 400)
        return StreamingResponse(self._lines(name), media_type="application/x-ndjson")

    def _lines(self, name: str) -> Iterator[str]:
        fault = self.pull_fault if len(self.pulled_from) < self.faulty_pulls else None
        self.pulled_from.append(self._come)
        yield _line(status="pulling manifest")
        self._pulls_may_go.wait(10)
        if name.removesuffix(":latest") not in self.library:
            yield _line(error="pull model manifest: file does not exist")
            return
        if fault == "no_network":
            yield _line(
                error='pull model manifest: Get "https://registry.example/v2/": dial tcp: lookup registry.example: '
                "no such host"
            )
            return
        if fault == "cut_early" and self._come < SIZE:
            self._come += SIZE // 8
            yield self._part()
            raise ConnectionResetError
        for completed in (SIZE // 4, SIZE // 2, SIZE):
            if completed < self._come:
                continue
            if fault is not None and self._come < completed == SIZE:
                yield from self._fail(fault)
                return
            self._come = completed
            yield self._part()
        yield _line(status="verifying sha256 digest")
        yield _line(status="writing manifest")
        self.models = (*self.models, name)
        yield _line(status="success")

    def _part(self) -> str:
        return _line(status="pulling 330437513712", digest=_LAYER, total=SIZE, completed=self._come)

    def _fail(self, fault: PullFault) -> Iterator[str]:
        if fault == "cut":
            raise ConnectionResetError
        if fault in ("stalled", "retries"):
            for _ in range(3 if fault == "retries" else 500):
                time.sleep(0.06)
                yield self._part()
        errors = {
            "retries": "max retries exceeded: unexpected EOF",
            "disk_full": "write /root/.ollama/models/blobs/sha256-330437513712-partial-0: no space left on device",
        }
        yield _line(error=errors.get(fault, "something \x1b[2J else"))

    async def _copy(self, request: Request) -> Response:
        body = await request.json()
        if not self._has_model(body["source"]):
            return JSONResponse({"error": f'model "{body["source"]}" not found'}, 404)
        self.models = (*self.models, body["destination"])
        return Response()

    async def _generate(self, request: Request) -> Response:
        body = await request.json()
        if not self._has_model(body["model"]):
            return JSONResponse({"error": f"model '{body['model']}' not found"}, 404)
        if self.writes is None:
            return JSONResponse({"error": f'"{body["model"]}" does not support generate'}, 400)
        self.prompts.append(body["prompt"])
        facts = {"created_at": "2026-11-26T10:00:00.000000000Z", "done": True, "done_reason": "stop", "eval_count": 1}
        return JSONResponse({"model": body["model"], "response": self.writes(body["prompt"]), **facts})

    async def _delete(self, request: Request) -> Response:
        name = (await request.json())["model"]
        if not self._has_model(name):
            return JSONResponse({"error": f"model '{name}' not found"}, 404)
        if name in self.undeletable:
            return JSONResponse({"error": "remove blob: permission denied"}, 500)
        self.models = tuple(
            each for each in self.models if each.removesuffix(":latest") != name.removesuffix(":latest")
        )
        return Response()


def _line(**step: object) -> str:
    return json.dumps(step) + "\n"
