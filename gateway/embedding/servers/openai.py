"""Embeddings by OpenAI, or any server that speaks its API: vLLM, TEI, llama.cpp, LM Studio, LocalAI, Gemini, Mistral.

Wire: `POST /v1/embeddings` with `model` and `input`, answered by `data`, each item with its `index` and `embedding`.
What a server does not take of that is left out once it has said so: `encoding_format`, `dimensions`, several texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.servers.openai_reply import read_vectors
from gateway.embedding.servers.remote_embedder import RemoteEmbedder, RemoteOptions
from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import EmbeddingError

OPENAI_HINT = "check that it runs and that embedder.base_url is right"
_DEFAULTS = RemoteOptions()
_REFUSALS = (400, 413, 422)
_WANTS_ONE_TEXT = re.compile(
    r"(must|should|has to|needs to) be (a )?(valid )?string|expected (a )?string|string[_ ]type|not (a|of type) string"
    r"|(arrays?|lists?|batch\w*|multiple inputs?) (is|are) not (supported|allowed)|not support (arrays?|lists?|batch)",
    re.IGNORECASE,
)

_NO_MODEL = re.compile(
    r"model.{0,120}(not found|not exist|not loaded|unknown|invalid)|(invalid|unknown|no such) model", re.IGNORECASE
)


class OpenAIEmbedder(RemoteEmbedder):
    """Embeds with `model` of the server behind `client`, whose base URL is as `normalize_base_url` returns it."""

    provider: ClassVar[str] = "openai"

    def __init__(self, client: EmbeddingHttpClient, model: str, options: RemoteOptions = _DEFAULTS) -> None:
        super().__init__(client, model, options)
        self._sends_format = True
        self._sends_dimensions = bool(self._dimensions_to_ask_for)
        self._sends_lists = True
        self._is_tei = False

    async def _request_vectors(self, texts: Sequence[str], purpose: Purpose, timeout_seconds: float | None) -> Any:
        if not self._sends_lists and len(texts) > 1:
            return [(await self._request_vectors([text], purpose, timeout_seconds) or [None])[0] for text in texts]
        reply = await self._ask(texts, purpose, timeout_seconds)
        while not reply.ok and self._leave_out(reply, len(texts)):
            if not self._sends_lists and len(texts) > 1:
                return await self._request_vectors(texts, purpose, timeout_seconds)
            reply = await self._ask(texts, purpose, timeout_seconds)
        if not reply.ok:
            raise self._error_for(reply)
        vectors = read_vectors(reply.json)
        if vectors is None and reply.error_text():
            # LM Studio answers a path that it does not know with 200.
            raise self._client.refusal_error(reply, self._offered_hint())
        return vectors

    async def build(self) -> str:
        # No server of this kind says which weights it has.
        return ""

    async def _probe(self) -> str:
        # Not every compatible server lists its models, or accepts only those; one short text tells for certain.
        await self._require_vector()
        return f"{self._client.label} answers with the model {self._model}."

    async def _ask(self, texts: Sequence[str], purpose: Purpose, timeout_seconds: float | None) -> ServerReply:
        if self._is_tei:
            body: dict[str, Any] = {"inputs": list(texts), "truncate": True}
            return await self._client.post("/embed", body, purpose, timeout_seconds, at_root=True)
        body = {"model": self._model, "input": list(texts) if self._sends_lists else texts[0]}
        if self._sends_format:
            body["encoding_format"] = "float"
        if self._sends_dimensions:
            body["dimensions"] = self._dimensions_to_ask_for
        return await self._client.post("/embeddings", body, purpose, timeout_seconds)

    def _leave_out(self, reply: ServerReply, texts: int) -> bool:
        """Whether the server refused something that it can be asked without, which is left out from now on."""
        words = reply.error_text()
        if reply.status in (404, 405) and not self._is_tei and "model" not in words.lower():
            self._is_tei = True
            return True
        if reply.status not in _REFUSALS or self._is_tei:
            return False
        if self._sends_format and "encoding_format" in words:
            self._sends_format = False
            return True
        if self._sends_dimensions and re.search(r"dimensions|matryoshka|output_dimension", words, re.IGNORECASE):
            self._sends_dimensions = False
            return True
        if self._sends_lists and _WANTS_ONE_TEXT.search(words):
            self._sends_lists = False
            return True
        return False

    def _error_for(self, reply: ServerReply) -> EmbeddingError:
        if reply.status in (401, 403):
            return self._client.refusal_error(
                reply, "set embedder.api_key or OPENAI_API_KEY to a key that is valid there"
            )
        if reply.status in (404, 405):
            self._is_tei = False
        if reply.status in _REFUSALS and not _is_about_the_model(reply):
            return self._client.text_refusal(reply)
        return self._client.refusal_error(reply, self._offered_hint())

    def _offered_hint(self) -> str:
        return f"check embedder.base_url and that {self._model} is offered there"


def normalize_base_url(base_url: str) -> str:
    """`base_url` up to and with its version: `/v1` is added where the path names none."""
    base = base_url.rstrip("/").removesuffix("/embeddings")
    return base if re.search(r"/v\d", urlsplit(base).path) else f"{base}/v1"


def _is_about_the_model(reply: ServerReply) -> bool:
    """Whether a server that answers 400 for it says that it does not have the model."""
    return bool(_NO_MODEL.search(reply.error_text()))
