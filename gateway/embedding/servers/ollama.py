"""Embeddings by an Ollama server.

Wire: `POST /api/embed` takes a list of texts, `POST /api/embeddings` of servers before 0.3 takes one, `GET /api/tags`
lists the models that are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gateway.embedding.servers.http_client import EmbeddingHttpClient, Purpose
from gateway.embedding.servers.remote_embedder import RemoteEmbedder, RemoteOptions
from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import EmbeddingError

OLLAMA_BUSY_HINT = "see with `ollama ps` what it does: it may be loading the model, or be at work for others"
OLLAMA_HINT = "start it with `ollama serve`, or set embedder.base_url to where it runs"
_DEFAULTS = RemoteOptions()
_NOT_OLLAMA = "check that embedder.base_url is the address of an Ollama server"


class OllamaEmbedder(RemoteEmbedder):
    """Embeds with `model` of the Ollama server behind `client`, whose base URL has no path."""

    provider: ClassVar[str] = "ollama"

    def __init__(self, client: EmbeddingHttpClient, model: str, options: RemoteOptions = _DEFAULTS) -> None:
        # The tag that Ollama adds by itself names no other model, and no other space.
        super().__init__(client, model.removesuffix(":latest"), options)
        self._supports_batches = True
        self._shown = ""
        self._asked_context = 0

    async def _request_vectors(self, texts: Sequence[str], purpose: Purpose, timeout_seconds: float | None) -> Any:
        if self._supports_batches:
            body: dict[str, Any] = {"model": self._model, "input": list(texts), "truncate": True}
            if self._dimensions_to_ask_for:
                body["dimensions"] = self._dimensions_to_ask_for
            if self._asked_context:
                body["options"] = {"num_ctx": self._asked_context}
            reply = await self._client.post("/api/embed", body, purpose, timeout_seconds)
            if reply.ok:
                return reply.get("embeddings")
            if not _is_unknown_route(reply):
                raise self._error_for(reply)
        rows = []
        for text in texts:
            body = {"model": self._model, "prompt": text}
            reply = await self._client.post("/api/embeddings", body, purpose, timeout_seconds)
            if not reply.ok:
                raise self._error_for(reply)
            rows.append(reply.get("embedding"))
        self._supports_batches = False
        return rows

    async def build(self) -> str:
        digest = str((await self._listed()).get("digest") or "")
        if digest != self._shown:
            await self._learn_context()
            self._shown = digest
        return digest

    async def _probe(self) -> str:
        await self._listed()
        return f"{self._client.label} answers and has the model {self._model}."

    async def _learn_context(self) -> None:
        """How many tokens the model reads, by its own account, and whether it is set to read fewer of them."""
        reply = await self._client.post("/api/show", {"model": self._model}, "check")
        facts = reply.get("model_info")
        if not reply.ok or not isinstance(facts, dict):
            # Older servers say nothing of it.
            return
        lengths = [value for name, value in facts.items() if name.endswith(".context_length")]
        if lengths and isinstance(lengths[0], int) and lengths[0] > 0:
            self.max_tokens = min(self.max_tokens, lengths[0])
        set_to = re.search(r"^num_ctx\s+(\d+)", str(reply.get("parameters") or ""), re.MULTILINE)
        # Asked for only where it is needed: the server loads the model anew for another length.
        self._asked_context = self.max_tokens if set_to and int(set_to[1]) < self.max_tokens else 0

    async def _listed(self) -> Mapping[str, Any]:
        """What Ollama says of the model in its list. Raises EmbeddingError where it is not there."""
        reply = await self._client.get("/api/tags", "check")
        models = reply.get("models")
        if not reply.ok or not isinstance(models, list):
            raise self._client.refusal_error(reply, _NOT_OLLAMA)
        for model in models:
            # Names of models have no case.
            name = str(model.get("name") or model.get("model")) if isinstance(model, dict) else ""
            if name.removesuffix(":latest").lower() == self._model.lower():
                found: Mapping[str, Any] = model
                return found
        raise self._missing_model_error()

    def _error_for(self, reply: ServerReply) -> EmbeddingError:
        if reply.status == 404 and not _is_unknown_route(reply):
            return self._missing_model_error()
        if reply.status == 404:
            return self._client.refusal_error(reply, _NOT_OLLAMA)
        if "invalid model name" in reply.error_text():
            return self._client.refusal_error(reply, "set embedder.model to a name that `ollama list` shows")
        if reply.status in (400, 413, 422) and "does not support" not in reply.error_text():
            return self._client.text_refusal(reply)
        return self._client.refusal_error(reply, f"check that {self._model} is an embedding model")

    def _missing_model_error(self) -> EmbeddingError:
        return EmbeddingError(
            f"{self._client.label} does not have the model {self._model}", f"run `ollama pull {self._model}`"
        )


def _is_unknown_route(reply: ServerReply) -> bool:
    """Ollama answers an unknown path in plain text, and an unknown model with a JSON error."""
    return reply.status in (404, 405) and "model" not in reply.error_text().lower()
