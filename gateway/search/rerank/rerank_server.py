"""Reranking by a server of a model made for it.

Wire, either of the two, told apart by what the server answers:

- `POST /v1/rerank` (Jina, Cohere, vLLM, llama.cpp) with `query`, `documents` and `top_n`, answered by `results`, each
  with `index` and `relevance_score`. Some serve it as `/rerank`.
- `POST /rerank` (TEI) with `query` and `texts`, answered by a list of which each item has `index` and `score`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import RerankError
from gateway.search.rerank.http_client import RerankHttpClient, is_unknown_route
from gateway.search.rerank.reranker import read_places

# A server that knows another form of the request misses fields in this one.
_MISUNDERSTOOD = (400, 422)


@dataclass(frozen=True, slots=True)
class _RequestFormat:
    """A path below the base URL, and what the documents are called in what is sent there."""

    path: str
    documents: Literal["documents", "texts"]


class RerankServer:
    """Ranks with `model` of the server behind `client`; an empty one is whichever the server has."""

    def __init__(self, client: RerankHttpClient, model: str, version: str) -> None:
        """`version` is what the path of the larger API begins with, as "/v1"; empty where the base URL has it."""
        self.label = client.label
        self._client = client
        self._model = model
        versioned = _RequestFormat(f"{version}/rerank", "documents")
        # Below an address with a version there is nothing else.
        self._formats = (
            [versioned, _RequestFormat("/rerank", "texts"), _RequestFormat("/rerank", "documents")]
            if version
            else [versioned]
        )

    async def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """See `Reranker`."""
        refused: ServerReply | None = None
        for form in list(self._formats):
            reply = await self._client.post(form.path, self._body(form, query, documents))
            if reply.ok:
                # First from now on; another server may come to answer at the same address.
                self._formats.remove(form)
                self._formats.insert(0, form)
                return self._read(reply, len(documents))
            # What a path says that is there tells more than that another is not.
            if refused is None or is_unknown_route(refused):
                refused = reply
            if not (is_unknown_route(reply) or (form.path == "/rerank" and reply.status in _MISUNDERSTOOD)):
                break
        assert refused is not None
        raise self._client.refusal(refused)

    async def aclose(self) -> None:
        """See `Reranker`."""
        await self._client.aclose()

    def _body(self, form: _RequestFormat, query: str, documents: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"query": query, form.documents: list(documents)}
        if form.documents == "texts":
            return {**body, "truncate": True}
        return {**({"model": self._model} if self._model else {}), **body, "top_n": len(documents)}

    def _read(self, reply: ServerReply, count: int) -> list[int]:
        items = reply.json if isinstance(reply.json, list) else reply.get("results")
        if not isinstance(items, list):
            raise RerankError(f"{self.label} answered without results")
        scores: dict[int, float] = {}
        for item in items:
            if not isinstance(item, dict):
                continue
            score = item.get("relevance_score", item.get("score"))
            if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
                continue
            for place in read_places([item.get("index")], count):
                scores.setdefault(place, float(score))
        if not scores:
            raise RerankError(f"{self.label} answered with scores of none of the tools")
        return sorted(scores, key=lambda place: (-scores[place], place))


def split_version(base_url: str) -> tuple[str, str]:
    """`base_url` without the last step of an endpoint, and the version that its paths still need: "" or "/v1"."""
    base = base_url.rstrip("/").removesuffix("/rerank").rstrip("/")
    return base, "" if re.search(r"/v\d", urlsplit(base).path) else "/v1"
