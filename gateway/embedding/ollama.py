"""Embeddings by an Ollama server.

Wire: `POST /api/embed` takes a list of texts, `POST /api/embeddings` of servers before 0.3 takes one, `GET /api/tags`
lists the models that are there.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gateway.embedding.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.remote_embedder import RemoteEmbedder
from gateway.embedding.server_reply import ServerReply
from gateway.errors import EmbeddingError

OLLAMA_HINT = "start it with `ollama serve`, or set embedder.base_url to where it runs"
_NOT_OLLAMA = "check that embedder.base_url is the address of an Ollama server"


class OllamaEmbedder(RemoteEmbedder):
    """Embeds with `model` of the Ollama server behind `endpoint`, whose base URL has no path."""

    provider: ClassVar[str] = "ollama"

    def __init__(self, endpoint: EmbeddingHttpClient, model: str, batch_size: int = 32) -> None:
        # The tag that Ollama adds by itself names no other model, and no other space.
        super().__init__(endpoint, model.removesuffix(":latest"), batch_size)
        self._takes_lists = True

    async def _rows(self, texts: list[str], purpose: Purpose) -> Any:
        if self._takes_lists:
            body = {"model": self._model, "input": texts, "truncate": True}
            reply = await self._endpoint.post("/api/embed", body, purpose)
            if reply.ok:
                return reply.get("embeddings")
            if not _no_such_route(reply):
                raise self._refusal(reply)
        rows = []
        for text in texts:
            reply = await self._endpoint.post("/api/embeddings", {"model": self._model, "prompt": text}, purpose)
            if not reply.ok:
                raise self._refusal(reply)
            rows.append(reply.get("embedding"))
        self._takes_lists = False
        return rows

    async def _check(self) -> str:
        reply = await self._endpoint.get("/api/tags", "check")
        models = reply.get("models")
        if not reply.ok or not isinstance(models, list):
            raise self._endpoint.refusal(reply, _NOT_OLLAMA)
        names = {str(model.get("name") or model.get("model")) for model in models if isinstance(model, dict)}
        if self._model not in {name.removesuffix(":latest") for name in names}:
            raise self._model_missing()
        return f"{self._endpoint.label} answers and has the model {self._model}."

    def _refusal(self, reply: ServerReply) -> EmbeddingError:
        if reply.status == 404 and not _no_such_route(reply):
            return self._model_missing()
        return self._endpoint.refusal(
            reply, _NOT_OLLAMA if reply.status == 404 else f"check that {self._model} is an embedding model"
        )

    def _model_missing(self) -> EmbeddingError:
        return EmbeddingError(
            f"{self._endpoint.label} does not have the model {self._model}", f"run `ollama pull {self._model}`"
        )


def _no_such_route(reply: ServerReply) -> bool:
    """Ollama answers an unknown path in plain text, and an unknown model with a JSON error."""
    return reply.status in (404, 405) and "model" not in reply.complaint().lower()
