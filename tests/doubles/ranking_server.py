"""Servers that rank, for tests: the wire of each kind over a socket, with counted words in place of a model."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.serving import serving

Kind = Literal["jina", "cohere", "vllm", "llama.cpp", "tei", "unversioned", "ollama", "openai"]

MODEL = "small-ranker"
_PATHS: dict[Kind, tuple[str, ...]] = {
    "jina": ("/v1/rerank",),
    "cohere": ("/v1/rerank", "/v2/rerank"),
    "vllm": ("/v1/rerank", "/v2/rerank", "/rerank"),
    "llama.cpp": ("/v1/rerank", "/rerank"),
    "tei": ("/rerank",),
    "unversioned": ("/rerank",),
    "ollama": ("/api/generate", "/v1/chat/completions"),
    "openai": ("/v1/chat/completions",),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: `status` and `body` in place of the answer, `seconds` of waiting before it, `endless` blanks, a
    body of `size` bytes, or a connection that ends in its midst (`cut`).
    """

    status: int = 200
    body: str | None = None
    seconds: float = 0.0
    endless: bool = False
    size: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived."""

    path: str
    body: dict[str, Any]
    authorization: str | None


def count_shared_words(query: str, document: str) -> float:
    """A judgement that a test can foresee."""
    return float(len(set(re.findall(r"\w+", query.lower())) & set(re.findall(r"\w+", document.lower()))))


@dataclass
class RankingServer:
    """Answers as a server of its `kind`. `judge` scores a document for a query; `reply`, where given, is what a
    language model writes for a query and its documents. `requests` are those that arrived.
    """

    kind: Kind
    judge: Callable[[str, str], float] = count_shared_words
    reply: Callable[[str, Sequence[str]], str] | None = None
    api_key: str = ""
    fault: Fault | None = None
    requests: list[RecordedRequest] = field(default_factory=list)
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[RankingServer]:
        """Serve until the block ends."""
        routes = [Route(path, self._answer, methods=["POST"]) for path in _PATHS[self.kind]]
        async with serving(Starlette(routes=[*routes, Route("/{path:path}", self._unknown, methods=["POST"])])) as url:
            self.url = url
            yield self

    async def _unknown(self, request: Request) -> Response:
        self.requests.append(RecordedRequest(request.url.path, {}, request.headers.get("authorization")))
        if self.kind == "ollama":
            return PlainTextResponse("404 page not found", 404)
        return Response(status_code=404) if self.kind == "tei" else JSONResponse({"detail": "Not Found"}, 404)

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(RecordedRequest(request.url.path, body, request.headers.get("authorization")))
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return JSONResponse({"detail": f"Invalid key {request.headers.get('authorization')}"}, 401)
        if self.fault is not None:
            await anyio.sleep(self.fault.seconds)
            if (instead := _instead(self.fault)) is not None:
                return instead
        if body.get("model", MODEL) != MODEL:
            return JSONResponse({"error": f"model '{body['model']}' not found"}, 404)
        return self._generate(body) if self.kind in ("ollama", "openai") else self._rank(request.url.path, body)

    def _rank(self, path: str, body: dict[str, Any]) -> Response:
        # llama.cpp answers in the form in which it is asked.
        is_tei = self.kind == "tei" or (self.kind == "llama.cpp" and "texts" in body)
        documents = body.get("texts" if is_tei else "documents")
        if documents is None:
            return JSONResponse({"detail": [{"type": "missing", "loc": ["body", "documents"]}]}, 422)
        scores = [self.judge(body["query"], document) for document in documents]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        if is_tei:
            return JSONResponse([{"index": index, "score": scores[index] / 100} for index in order])
        # The raw numbers of llama.cpp are below zero.
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index] - 9} for index in order]
        if self.kind in ("jina", "vllm"):
            results = [{**each, "document": {"text": documents[each["index"]]}} for each in results]
        if self.kind == "cohere":
            return JSONResponse({"id": "1", "results": results, "meta": {"billed_units": {"search_units": 1}}})
        return JSONResponse({"model": MODEL, "object": "list", "usage": {"total_tokens": 1}, "results": results})

    def _generate(self, body: dict[str, Any]) -> Response:
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        query, documents = read_prompt(prompt)
        if self.reply is not None:
            text = self.reply(query, documents)
        else:
            scores = [self.judge(query, document) for document in documents]
            text = json.dumps({"ranking": [n + 1 for n in sorted(range(len(scores)), key=lambda n: -scores[n])]})
        if "prompt" in body:
            return JSONResponse({"model": MODEL, "response": text, "done": True, "done_reason": "stop"})
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return JSONResponse({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]})


def read_prompt(prompt: str) -> tuple[str, list[str]]:
    """The request and the texts of the tools, each of a line of its own, as a prompt has them."""
    request = re.search(r'^Request: (".*")$', prompt, re.MULTILINE)
    assert request is not None
    lines = re.findall(r'^(\d+): (".*")$', prompt, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1))
    return json.loads(request[1]), [json.loads(text) for _, text in lines]


def _instead(fault: Fault) -> Response | None:
    if fault.endless or fault.size:
        return StreamingResponse(_blanks(fault.size))
    if fault.cut:
        return Response('{"results":', headers={"Content-Length": "1000"})
    if fault.body is not None or fault.status != 200:
        return Response(fault.body or '{"error":"out of luck"}', fault.status, media_type="application/json")
    return None


async def _blanks(size: int) -> AsyncIterator[bytes]:
    sent = 0
    while not size or sent < size:
        chunk = b" " * (2**16 if size else 1)
        yield chunk
        sent += len(chunk)
        await anyio.sleep(0 if size else 0.01)
