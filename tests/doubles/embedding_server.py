"""An embedding server for tests: Ollama's and OpenAI's wire over a socket, with static vectors behind it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import Self

from gateway.embedding.local.static_model import StaticModel, load_static_model
from gateway.embedding.model_input_format import input_format_for
from gateway.embedding.text_length import estimate_tokens
from tests.doubles.embedding_faults import Fault, TextFault


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived."""

    method: str
    path: str
    authorization: str | None


class EmbeddingServer:
    """Serves from `with` (or `start`) to its end (or `stop`), on one port for as long as it lives.

    `requests`, `texts` and `batches` record what arrived, prefixes included; `embedded` the texts that were answered by
    vectors. `fault` is what goes wrong from now on, None for nothing. Real vectors are the static ones for
    the text without its task prefix, cut or repeated to `dimensions`; of other `weights` they are others.

    `text_fault` says of a text what is wrong with it, `max_inputs` how many a request may have. One request is worked
    on at a time, for `seconds_a_request` and, with `tokens_a_second`, as long as its texts are.
    """

    def __init__(
        self, *, models: tuple[str, ...] = ("nomic-embed-text:latest",), dimensions: int = 256, api_key: str = ""
    ) -> None:
        self.models = models
        self.dimensions = dimensions
        self.api_key = api_key
        self.requests: list[RecordedRequest] = []
        self.texts: list[str] = []
        self.batches: list[tuple[str, ...]] = []
        self.embedded: list[str] = []
        self.text_fault: Callable[[str], TextFault | None] = lambda text: None
        self.max_inputs: int | None = None
        self.max_width = 0
        self.weights = 0
        self.context_length = 2_048
        self.num_ctx: int | None = None
        self.options: list[dict[str, Any] | None] = []
        self.seconds_a_request = 0.0
        self.tokens_a_second = 0.0
        self.in_parallel = False
        self._runner = threading.Lock()
        self._width = 0
        self._fault: Fault | None = None
        self._faults_left = 0
        self._fault_changed = threading.Event()
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._faults_left = -1 if fault is None or fault.times is None else fault.times
        self._fault = fault
        self._fault_changed.set()
        self._fault_changed = threading.Event()

    def clear(self) -> None:
        """Forgets what was recorded."""
        self.requests.clear()
        self.texts.clear()
        self.batches.clear()
        self.embedded.clear()

    def start(self) -> None:
        """Listens; on the same port again after `stop`."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._application(), lifespan="off", log_config=None, access_log=False, ws="none", timeout_keep_alive=60
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        self._server.listening.wait(10)

    def stop(self) -> None:
        """Closes the port and every connection."""
        if self._server is None or self._thread is None:
            return
        self._fault_changed.set()
        self._server.should_exit = True
        self._thread.join(10)
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await anyio.to_thread.run_sync(self.stop)

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/embed", self._embed, methods=["POST"]),
                Route("/api/embeddings", self._embed_one, methods=["POST"]),
                Route("/api/tags", self._tags),
                Route("/api/show", self._show, methods=["POST"]),
                Route("/v1/embeddings", self._openai, methods=["POST"]),
            ]
        )

    async def _embed(self, request: Request) -> Response:
        if self._fault and self._fault.kind == "no_lists":
            self._record(request)
            return PlainTextResponse("404 page not found", 404)
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.options.append(body.get("options"))
        return await self._answer(
            request, body["model"], texts, lambda rows: {"model": body["model"], "embeddings": rows}
        )

    async def _embed_one(self, request: Request) -> Response:
        body = await request.json()
        return await self._answer(
            request, body["model"], [body["prompt"]], lambda rows: {"embedding": rows[0] if rows else []}
        )

    async def _openai(self, request: Request) -> Response:
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]

        def shape(rows: list[Any]) -> dict[str, Any]:
            items = [{"object": "embedding", "index": number, "embedding": row} for number, row in enumerate(rows)]
            if self._fault and self._fault.kind == "shuffled":
                items.reverse()
            return {"object": "list", "model": body["model"], "data": items}

        return await self._answer(request, body["model"], texts, shape)

    async def _tags(self, request: Request) -> Response:
        self._record(request)
        listed = () if self._fault and self._fault.kind == "model_missing" else self.models
        return JSONResponse({"models": [self._listed(name) for name in listed]})

    async def _show(self, request: Request) -> Response:
        self._record(request)
        model = (await request.json())["model"]
        if not self._has_model(model):
            return JSONResponse({"error": f"model '{model}' not found"}, 404)
        shown: dict[str, Any] = {
            "modelfile": "",
            "template": "{{ .Prompt }}",
            "details": self._listed(model)["details"],
            "model_info": {
                "general.architecture": "bert",
                "bert.context_length": self.context_length,
                "bert.embedding_length": self.dimensions,
            },
            "capabilities": ["embedding"],
            "modified_at": "2026-11-26T10:00:00.000000000Z",
        }
        if self.num_ctx is not None:
            shown["parameters"] = f"num_ctx                        {self.num_ctx}"
        return JSONResponse(shown)

    async def _answer(self, request: Request, model: str, texts: list[str], shape: Any) -> Response:
        self._record(request)
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            key = request.headers.get("authorization", "no key").removeprefix("Bearer ")
            return JSONResponse({"error": {"message": f"Incorrect API key provided: {key}"}}, 401)
        if not self._has_model(model):
            return JSONResponse({"error": f'model "{model}" not found, try pulling it first'}, 404)
        self.texts += texts
        self.batches.append(tuple(texts))
        fault = self._next_fault()
        if fault and fault.kind == "slow":
            await anyio.to_thread.run_sync(self._fault_changed.wait, fault.number)
        elif fault and (instead := _fault_response(fault)):
            return instead
        if refusal := await self._refusal(request, texts):
            return refusal
        self._width += 1
        self.max_width = max(self.max_width, self._width)
        try:
            rows = await anyio.to_thread.run_sync(self._vectors, model, texts)
        finally:
            self._width -= 1
        text = json.dumps(shape(_apply_fault(rows, fault)))
        if fault and fault.kind == "value":
            text = text.replace('"spoiled"', fault.literal)
        if fault is None or fault.kind in ("slow", "shuffled"):
            self.embedded += texts
        return Response(text, media_type="application/json")

    def _vectors(self, model: str, texts: list[str]) -> list[list[float]]:
        traits = input_format_for(model)
        bare = [text.removeprefix(traits.document_prefix).removeprefix(traits.query_prefix) for text in texts]
        seconds = self.seconds_a_request
        if self.tokens_a_second:
            seconds += sum(map(estimate_tokens, texts)) / self.tokens_a_second
        if seconds:
            with contextlib.nullcontext() if self.in_parallel else self._runner:
                time.sleep(seconds)
        # Lone surrogates are taken like any other character.
        rows = _model().embed([text.encode("utf-8", "replace").decode() for text in bare]).tolist()
        if self.weights:
            # Other weights turn the space: what is near stays near, and nothing is comparable with what was.
            order = random.Random(self.weights).sample(range(len(rows[0])), len(rows[0]))
            rows = [[row[place] for place in order] for row in rows]
        rows = [(row * (self.dimensions // len(row) + 1))[: self.dimensions] for row in rows]
        return [
            [0.0] * len(row) if self.text_fault(text) == "zeros" else row for text, row in zip(texts, rows, strict=True)
        ]

    async def _refusal(self, request: Request, texts: list[str]) -> Response | None:
        """What is answered in place of vectors where a text is at fault, or there are too many."""
        if self.max_inputs is not None and len(texts) > self.max_inputs:
            words = f"batch size is invalid, it should not be larger than {self.max_inputs}."
            return JSONResponse({"error": {"message": words, "type": "invalid_request_error"}}, 400)
        faults = {self.text_fault(text) for text in texts}
        if "hang" in faults:
            await anyio.to_thread.run_sync(self._fault_changed.wait, 60)
        if "eof" in faults:
            error = f'do embedding request: Post "http://127.0.0.1:{self._port}/embedding": EOF'
            return JSONResponse({"error": error}, 400)
        if "context" in faults:
            is_old = request.url.path == "/api/embeddings"
            return JSONResponse({"error": "the input length exceeds the context length"}, 500 if is_old else 400)
        if "nan" in faults:
            return JSONResponse({"error": "failed to encode response: json: unsupported value: NaN"}, 500)
        return None

    def _listed(self, name: str) -> dict[str, Any]:
        tagged = name if ":" in name else f"{name}:latest"
        digest = hashlib.sha256(f"{name.removesuffix(':latest')} {self.weights} {self.dimensions}".encode()).hexdigest()
        return {
            "name": tagged,
            "model": tagged,
            "modified_at": "2026-11-26T10:00:00.000000000Z",
            "size": 45949702,
            "digest": digest,
            "details": {
                "parent_model": "",
                "format": "gguf",
                "family": "bert",
                "families": ["bert"],
                "parameter_size": "22.57M",
                "quantization_level": "F16",
            },
        }

    def _record(self, request: Request) -> None:
        self.requests.append(RecordedRequest(request.method, request.url.path, request.headers.get("authorization")))

    def _has_model(self, model: str) -> bool:
        gone = self._fault is not None and self._fault.kind == "model_missing"
        return not gone and model.removesuffix(":latest") in {name.removesuffix(":latest") for name in self.models}

    def _next_fault(self) -> Fault | None:
        if self._fault is None or self._faults_left == 0:
            return None
        self._faults_left -= 1
        return self._fault


@functools.cache
def _model() -> StaticModel:
    return load_static_model()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _fault_response(fault: Fault) -> Response | None:
    """The answer that takes the place of vectors, None where the fault lies in the vectors."""
    if fault.kind == "status":
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        return JSONResponse({"error": "the model runner is out of luck"}, fault.status, headers)
    if fault.kind == "answer":
        is_json = fault.literal.startswith("{")
        media = "application/json; charset=utf-8" if is_json else "text/plain"
        return Response(fault.literal, fault.status, media_type=media)
    if fault.kind == "body":
        return Response(fault.literal)
    if fault.kind == "huge":
        return StreamingResponse(_whitespace(int(fault.number)))
    if fault.kind == "cut":
        return Response('{"embeddings":', headers={"Content-Length": "1000"})
    return None


async def _whitespace(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 2**20):
        yield b" " * 2**20
        # A client that has gone is noticed only while something is awaited.
        await anyio.lowlevel.checkpoint()


def _apply_fault(rows: list[list[float]], fault: Fault | None) -> list[Any]:
    spoiled: list[list[Any]] = [list(row) for row in rows]
    if fault is None:
        return spoiled
    if fault.kind == "dimensions":
        return [(row * 100)[: int(fault.number)] for row in spoiled]
    if fault.kind == "missing_vector":
        return spoiled[:-1]
    if fault.kind == "zeros":
        return [[0.0] * len(row) for row in spoiled]
    if fault.kind == "ragged":
        spoiled[-1].pop()
    if fault.kind == "value":
        spoiled[-1][0] = "spoiled"
    return spoiled
