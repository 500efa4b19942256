"""Embeddings by OpenAI, or any server that speaks its API: LM Studio, vLLM, llama.cpp and others.

Wire: `POST /v1/embeddings` with `model` and `input`, answered by `data`, each item with its `index` and `embedding`.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.servers.remote_embedder import RemoteEmbedder

OPENAI_HINT = "check that it runs and that embedder.base_url is right"
_PROBE_TEXT = "Is the embedder well?"


class OpenAIEmbedder(RemoteEmbedder):
    """Embeds with `model` of the server behind `client`, whose base URL is as `normalize_base_url` returns it."""

    provider: ClassVar[str] = "openai"

    def __init__(self, client: EmbeddingHttpClient, model: str, batch_size: int = 32) -> None:
        super().__init__(client, model, batch_size)

    async def _request_vectors(self, texts: list[str], purpose: Purpose) -> Any:
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        reply = await self._client.post("/embeddings", body, purpose)
        if reply.status in (401, 403):
            raise self._client.refusal_error(
                reply, "set embedder.api_key or OPENAI_API_KEY to a key that is valid there"
            )
        if not reply.ok:
            raise self._client.refusal_error(reply, f"check embedder.base_url and that {self._model} is offered there")
        items = reply.get("data")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return None
        if all(isinstance(item.get("index"), int) for item in items):
            items = sorted(items, key=lambda item: int(item["index"]))
        return [item.get("embedding") for item in items]

    async def _probe(self) -> str:
        # Not every compatible server lists its models, or accepts only those; one short text tells for certain.
        await self._vectors([_PROBE_TEXT], "check")
        return f"{self._client.label} answers with the model {self._model}."


def normalize_base_url(base_url: str) -> str:
    """`base_url` up to and with its version: `/v1` is added where the path names none."""
    base = base_url.rstrip("/").removesuffix("/embeddings")
    return base if re.search(r"/v\d", urlsplit(base).path) else f"{base}/v1"
