"""Reranking by a language model, in one call.

Wire, either of the two, told apart by what the server answers: Ollama's `POST /api/generate`, answered by `response`,
and OpenAI's `POST /v1/chat/completions`, answered by `choices`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Question:
    """What a language model is asked: the reply is JSON as `schema`, called `name`, has it, of so many tokens."""

    system: str
    prompt: str
    name: str
    schema: dict[str, Any]
    max_tokens: int


class LanguageModel:
    """Asks `model` of the server behind `client`, on the first of `routes` that the server has."""

    def __init__(self, client: RerankHttpClient, model: str, routes: Sequence[Route]) -> None:
        self.label = client.label
        self._client = client
        self._model = model
        self._routes = list(routes)

    async def ask(self, question: Question) -> object:
        """What the model wrote, a text as far as it keeps to its wire. Raises RerankError where it does not answer."""
        reply: ServerReply | None = None
        for route in list(self._routes):
            write = self._generate if route == _GENERATE else self._chat
            reply = await self._client.post(route, write(question))
            if reply.ok:
                # First from now on; another server may come to answer at the same address.
                self._routes.remove(route)
                self._routes.insert(0, route)
                return _text(reply)
            if not is_unknown_route(reply):
                break
        assert reply is not None
        raise self._client.refusal(reply)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def _generate(self, question: Question) -> dict[str, Any]:
        return {
            "model": self._model,
            "system": question.system,
            "prompt": question.prompt,
            "stream": False,
            # A thought would take the room and the time of the answer.
            "think": False,
            "format": question.schema,
            "options": {"temperature": 0, "num_predict": question.max_tokens, "num_ctx": CONTEXT_TOKENS},
        }

    def _chat(self, question: Question) -> dict[str, Any]:
        schema = {"name": question.name, "strict": True, "schema": question.schema}
        return {
            "model": self._model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.prompt},
            ],
            "temperature": 0,
            "max_tokens": question.max_tokens,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }


class LanguageModelReranker:
    """Ranks with a language model."""

    def __init__(self, client: RerankHttpClient, model: str, routes: Sequence[Route]) -> None:
        self.label = client.label
        self._model = LanguageModel(client, model, routes)

    async def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """See `Reranker`."""
        count = len(documents)
        prompt = ranking_prompt(query, documents)
        text = await self._model.ask(Question(SYSTEM, prompt, "ranking", reply_schema(count), most_reply_tokens(count)))
        places = read_ranking(text, count)
        if not places:
            raise RerankError(f"{self.label} answered with something that is no ranking")
        return places

    async def aclose(self) -> None:
        """See `Reranker`."""
        await self._model.aclose()


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
