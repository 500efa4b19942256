"""Servers that speak OpenAI's embeddings as well as they do: each with the answers that it is known to give."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

DIMENSIONS = 12

Body = dict[str, Any]
Answer = Callable[[str, Body], Response]
"""Answers what was posted to a path."""


def vector_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector that the text alone decides, of length 1."""
    numbers = np.frombuffer(hashlib.sha512(text.encode()).digest(), np.uint8)[:dimensions].astype(np.float64) - 127.5
    vector: list[float] = (numbers / np.linalg.norm(numbers)).tolist()
    return vector


def _items(texts: list[str], dimensions: int = DIMENSIONS) -> list[Body]:
    return [
        {"object": "embedding", "index": place, "embedding": vector_of(text, dimensions)}
        for place, text in enumerate(texts)
    ]


def _texts(body: Body, field_name: str = "input") -> list[str]:
    given = body[field_name]
    return [given] if isinstance(given, str) else given


def _list_of(items: list[Body]) -> Response:
    return JSONResponse({"object": "list", "data": items, "model": "m", "usage": {"prompt_tokens": 1}})


def vllm(path: str, body: Body) -> Response:
    """No dimensions but for Matryoshka models, and a text that is too long is refused in its own shape."""
    if "dimensions" in body:
        words = (
            'Model "m" does not support matryoshka representation, changing output dimensions will lead to poor '
            "results."
        )
        return JSONResponse({"object": "error", "message": words, "type": "BadRequestError", "code": 400}, 400)
    if any(len(text) > 400 for text in _texts(body)):
        words = (
            "This model's maximum context length is 100 tokens. However, you requested 200 tokens in the input for "
            "embedding generation. Please reduce the length of the input."
        )
        return JSONResponse({"error": {"message": words, "type": "BadRequestError", "param": None, "code": 400}}, 400)
    return _list_of(_items(_texts(body)))


def tei(path: str, body: Body) -> Response:
    """Both paths, at most 32 texts, in its words."""
    texts = _texts(body, "inputs" if path == "/embed" else "input")
    if len(texts) > 32:
        words = f"batch size {len(texts)} > maximum allowed batch size 32"
        return JSONResponse({"error": words, "error_type": "Validation"}, 422)
    if path == "/embed":
        return JSONResponse([vector_of(text) for text in texts])
    return _list_of(_items(texts))


def old_tei(path: str, body: Body) -> Response:
    """Its own path alone, and a text that is too long is refused with 413."""
    if path != "/embed":
        return PlainTextResponse("", 404)
    if any(len(text) > 400 for text in body["inputs"]):
        words = "Input validation error: `inputs` must have less than 100 tokens. Given: 200"
        return JSONResponse({"error": words, "error_type": "Validation"}, 413)
    return JSONResponse([vector_of(text) for text in body["inputs"]])


def llama_cpp(path: str, body: Body) -> Response:
    """Vectors in a list of their own, and 500 for a text that is larger than its physical batch."""
    if any(len(text) > 400 for text in _texts(body)):
        words = "input is too large to process. increase the physical batch size"
        return JSONResponse({"error": {"code": 500, "message": words, "type": "server_error"}}, 500)
    return JSONResponse([{"index": item["index"], "embedding": [item["embedding"]]} for item in _items(_texts(body))])


def lm_studio(path: str, body: Body) -> Response:
    """A path that it does not know is answered with 200."""
    if path != "/v1/embeddings":
        return JSONResponse({"error": f"Unexpected endpoint or method. (POST {path}). Returning 200 anyway"})
    return _list_of(_items(_texts(body)))


def local_ai(path: str, body: Body) -> Response:
    """Every item has the index 0."""
    return _list_of([{**item, "index": 0} for item in _items(_texts(body))])


def gemini(path: str, body: Body) -> Response:
    """At most 100 texts, `dimensions` taken, and errors in a list."""
    if len(_texts(body)) > 100:
        words = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
        return JSONResponse([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}], 400)
    return _list_of(
        [
            {name: value for name, value in item.items() if name != "index"}
            for item in _items(_texts(body), body.get("dimensions", DIMENSIONS))
        ]
    )


def mistral(path: str, body: Body) -> Response:
    """No encoding_format but by another name, and a limit on the tokens of a request."""
    if "encoding_format" in body:
        extra = {"type": "extra_forbidden", "loc": ["body", "encoding_format"], "msg": "Extra inputs: encoding_format"}
        return JSONResponse({"detail": [extra]}, 422)
    if sum(map(len, _texts(body))) > 4_000:
        words = "Too many tokens overall, split into more batches."
        error = {"object": "error", "message": words, "type": "invalid_request_prompt", "param": None, "code": "3210"}
        return JSONResponse(error, 400)
    return _list_of(_items(_texts(body)))


def one_text(path: str, body: Body) -> Response:
    """No lists."""
    if not isinstance(body["input"], str):
        return JSONResponse({"detail": [{"type": "string_type", "msg": "Input should be a valid string"}]}, 422)
    return _list_of(_items([body["input"]]))


def base64_always(path: str, body: Body) -> Response:
    """Base64 whatever is asked for."""
    return _list_of(
        [
            {**item, "embedding": base64.b64encode(np.array(item["embedding"], "<f4").tobytes()).decode()}
            for item in _items(_texts(body))
        ]
    )


@dataclass(slots=True)
class CompatibleServer:
    """Answers as `answer` does, over a socket, from `with` to its end; `posted` are the paths and bodies that came."""

    answer: Answer
    posted: list[tuple[str, Body]] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> CompatibleServer:
        self._listener.bind(("127.0.0.1", 0))
        # Who connects before it serves waits.
        self._listener.listen()
        config = uvicorn.Config(
            self._respond, interface="asgi3", lifespan="off", log_config=None, access_log=False, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await Request(scope, receive).body())
        self.posted.append((scope["path"], body))
        await self.answer(scope["path"], body)(scope, receive, send)
