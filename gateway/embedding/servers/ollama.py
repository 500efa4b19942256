"""Embeddings by an Ollama server.

Wire: `POST /api/embed` takes a list of texts, `POST /api/embeddings` of servers before 0.3 takes one, `GET /api/tags`
lists the models that are there.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.servers.remote_embedder import RemoteEmbedder
from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import EmbeddingError

OLLAMA_HINT = "start it with `ollama serve`, or set embedder.base_url to where it runs"
_NOT_OLLAMA = "check that embedder.base_url is the address of an Ollama server"


class OllamaEmbedder(RemoteEmbedder):
    """Embeds with `model` of the Ollama server behind `client`, whose base URL has no path."""

    provider: ClassVar[str] = "ollama"

    def __init__(self, client: EmbeddingHttpClient, model: str, batch_size: int = 32) -> None:
        # The tag that Ollama adds by itself names no other model, and no other space.
        super().__init__(client, model.removesuffix(":latest"), batch_size)
        self._supports_batches = True

    async def _request_vectors(self, texts: list[str], purpose: Purpose) -> Any:
        if self._supports_batches:
            body = {"model": self._model, "input": texts, "truncate": True}
            reply = await self._client.post("/api/embed", body, purpose)
            if reply.ok:
                return reply.get("embeddings")
            if not _is_unknown_route(reply):
                raise self._error_for(reply)
        rows = []
        for text in texts:
            reply = await self._client.post("/api/embeddings", {"model": self._model, "prompt": text}, purpose)
            if not reply.ok:
                raise self._error_for(reply)
            rows.append(reply.get("embedding"))
        self._supports_batches = False
        return rows

    async def _probe(self) -> str:
        reply = await self._client.get("/api/tags", "check")
        models = reply.get("models")
        if not reply.ok or not isinstance(models, list):
            raise self._client.refusal_error(reply, _NOT_OLLAMA)
        names = {str(model.get("name") or model.get("model")) for model in models if isinstance(model, dict)}
        if self._model not in {name.removesuffix(":latest") for name in names}:
            raise self._missing_model_error()
        return f"{self._client.label} answers and has the model {self._model}."

    def _error_for(self, reply: ServerReply) -> EmbeddingError:
        if reply.status == 404 and not _is_unknown_route(reply):
            return self._missing_model_error()
        return self._client.refusal_error(
            reply, _NOT_OLLAMA if reply.status == 404 else f"check that {self._model} is an embedding model"
        )

    def _missing_model_error(self) -> EmbeddingError:
        return EmbeddingError(
            f"{self._client.label} does not have the model {self._model}", f"run `ollama pull {self._model}`"
        )


def _is_unknown_route(reply: ServerReply) -> bool:
    """Ollama answers an unknown path in plain text, and an unknown model with a JSON error."""
    return reply.status in (404, 405) and "model" not in reply.error_text().lower()
