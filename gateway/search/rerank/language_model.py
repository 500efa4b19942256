"""Reranking by a language model, in one call.

Wire, either of the two, told apart by what the server answers: Ollama's `POST /api/generate`, answered by `response`,
and OpenAI's `POST /v1/chat/completions`, answered by `choices`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import RerankError
from gateway.search.rerank.http_client import RerankHttpClient, is_unknown_route
from gateway.search.rerank.ranking_prompt import (
    CONTEXT_TOKENS,
    SYSTEM,
    most_reply_tokens,
    ranking_prompt,
    read_ranking,
    reply_schema,
)

Route = Literal["/api/generate", "/v1/chat/completions", "/chat/completions"]

_GENERATE: Final = "/api/generate"


class LanguageModelReranker:
    """Ranks with `model` of the server behind `client`, on the first of `routes` that the server has."""

    def __init__(self, client: RerankHttpClient, model: str, routes: Sequence[Route]) -> None:
        self.label = client.label
        self._client = client
        self._model = model
        self._routes = list(routes)

    async def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """See `Reranker`."""
        prompt = ranking_prompt(query, documents)
        reply: ServerReply | None = None
        for route in list(self._routes):
            write = self._generate if route == _GENERATE else self._chat
            reply = await self._client.post(route, write(prompt, len(documents)))
            if reply.ok:
                # First from now on; another server may come to answer at the same address.
                self._routes.remove(route)
                self._routes.insert(0, route)
                places = read_ranking(_text(reply), len(documents))
                if not places:
                    raise RerankError(f"{self.label} answered with something that is no ranking")
                return places
            if not is_unknown_route(reply):
                break
        assert reply is not None
        raise self._client.refusal(reply)

    async def aclose(self) -> None:
        """See `Reranker`."""
        await self._client.aclose()

    def _generate(self, prompt: str, count: int) -> dict[str, Any]:
        return {
            "model": self._model,
            "system": SYSTEM,
            "prompt": prompt,
            "stream": False,
            # A thought would take the room and the time of the answer.
            "think": False,
            "format": reply_schema(count),
            "options": {"temperature": 0, "num_predict": most_reply_tokens(count), "num_ctx": CONTEXT_TOKENS},
        }

    def _chat(self, prompt: str, count: int) -> dict[str, Any]:
        schema = {"name": "ranking", "strict": True, "schema": reply_schema(count)}
        return {
            "model": self._model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": most_reply_tokens(count),
            "response_format": {"type": "json_schema", "json_schema": schema},
        }


def routes_of(base_url: str) -> tuple[str, tuple[Route, ...]]:
    """`base_url` without the last steps of an endpoint, and the routes that may be there."""
    base = base_url.rstrip("/").removesuffix("/chat/completions").removesuffix(_GENERATE).removesuffix("/api")
    has_version = re.search(r"/v\d", urlsplit(base).path) is not None
    return base, ("/chat/completions",) if has_version else (_GENERATE, "/v1/chat/completions")


def _text(reply: ServerReply) -> object:
    """What the model wrote, as Ollama or OpenAI wraps it; None where neither does."""
    choices = reply.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        return message.get("content") if isinstance(message, dict) else None
    return reply.get("response")
