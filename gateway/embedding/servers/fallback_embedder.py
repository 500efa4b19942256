"""Several servers of one model as one embedder: when the first does not answer, the next does."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gateway.embedding.embedder import EmbeddedTexts, EmbedderHealth, EmbeddingSpace, Vectors
from gateway.embedding.servers.remote_embedder import RemoteEmbedder
from gateway.errors import BadVectorError, EmbedderUnavailableError, EmbeddingError, TextRefusedError

logger = logging.getLogger(__name__)

# A search has so long for its vector that another server has to be asked before the first one's time is up.
_PATIENCE_SECONDS = 0.5
# What was found of a server's weights is believed for so long.
_CHECK_SECONDS = 60.0
_PROBES = ("Get the current weather of a city.", "create_issue(owner, repo, title, body)")
_SAME_COSINE = 0.999


class FallbackEmbedder:
    """Asks its servers in their order. All but the first are asked only as long as they have the first one's weights:
    of the same build, or where the servers name none, with the same vectors of two texts.
    """

    is_remote = True

    def __init__(self, servers: Sequence[RemoteEmbedder], known_build: str = "") -> None:
        """`known_build` is the build of the vectors that are stored, for as long as the first server does not answer;
        empty where it is not known.
        """
        self._servers = tuple(servers)
        self._first = self._servers[0]
        self._build = known_build
        self._probes: Vectors | None = None
        self._differing: dict[RemoteEmbedder, tuple[bool, float]] = {}

    @property
    def name(self) -> str:
        return self._first.name

    @property
    def waiting_texts(self) -> int:
        return sum(server.waiting_texts for server in self._servers)

    @property
    def is_left_alone(self) -> bool:
        return all(server.is_left_alone for server in self._servers)

    async def embed_each(self, texts: Sequence[str], until: float = math.inf) -> EmbeddedTexts:
        vectors: dict[int, Vectors] = {}
        refused: dict[int, str] = {}
        cut: set[int] = set()
        failure: EmbeddingError | None = None
        for server in self._servers:
            left = [place for place in range(len(texts)) if place not in vectors and place not in refused]
            try:
                await self._require_same_weights(server)
            except EmbeddingError as error:
                failure = failure or error
                continue
            embedded = await server.embed_each([texts[place] for place in left], until)
            vectors.update((left[place], vector) for place, vector in embedded.vectors.items())
            refused.update((left[place], reason) for place, reason in embedded.refused.items())
            cut.update(left[place] for place in embedded.cut)
            if embedded.failure is None or not _is_servers_own(embedded.failure):
                failure = embedded.failure
                break
            failure = failure or embedded.failure
        return EmbeddedTexts(vectors, refused, frozenset(cut), failure)

    async def embed_query(self, text: str) -> Vectors:
        waiting = list(self._servers)
        asked: set[asyncio.Task[Vectors]] = set()
        failure: EmbeddingError | None = None
        try:
            while waiting or asked:
                if waiting:
                    asked.add(asyncio.create_task(self._query(waiting.pop(0), text)))
                patience = _PATIENCE_SECONDS if waiting else None
                done, asked = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, EmbeddingError) or not _is_servers_own(error):
                        raise error
                    failure = failure or error
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        assert failure is not None
        raise failure

    async def space(self) -> EmbeddingSpace:
        space = await self._first.space()
        if not space.build and self._probes is None:
            self._probes = await _probe(self._first)
        return space

    async def build(self) -> str:
        try:
            self._build = await self._first.build()
        except EmbeddingError as error:
            # What the others have says what is served only where it is known to be the same.
            if not self._build or not _is_servers_own(error):
                raise
        return self._build

    def matches_space(self, space: EmbeddingSpace) -> bool:
        return self._first.matches_space(space)

    def forget_weights(self) -> None:
        for server in self._servers:
            server.forget_weights()
        self._build, self._probes = "", None
        self._differing.clear()

    async def check_health(self) -> EmbedderHealth:
        health = await self._first.check_health()
        if health.ok:
            return health
        for server in self._servers[1:]:
            try:
                await self._require_same_weights(server)
            except EmbeddingError:
                continue
            other = await server.check_health()
            if other.ok:
                return replace(other, detail=f"{health.detail} In its place: {other.detail}")
        return health

    async def aclose(self) -> None:
        for server in self._servers:
            await server.aclose()

    async def _query(self, server: RemoteEmbedder, text: str) -> Vectors:
        await self._require_same_weights(server)
        return await server.embed_query(text)

    async def _require_same_weights(self, server: RemoteEmbedder) -> None:
        """Raises EmbedderUnavailableError for a server that has others than the first, or of which it is not known."""
        if server is self._first:
            return
        differs, at = self._differing.get(server, (True, -math.inf))
        if time.monotonic() - at > _CHECK_SECONDS:
            differs = not await self._has_same_weights(server)
            self._differing[server] = differs, time.monotonic()
            if differs:
                logger.warning("%s has other weights than the first server, and is not asked.", server.label)
        if differs:
            raise EmbedderUnavailableError(
                f"{server.label} has other weights than the first server", "give both the same model"
            )

    async def _has_same_weights(self, server: RemoteEmbedder) -> bool:
        if self._build:
            return await server.build() == self._build
        if self._probes is None:
            raise EmbedderUnavailableError(
                f"{server.label} cannot be compared with the first server, which has not answered yet",
                "start the first server",
            )
        probes = await _probe(server)
        return probes.shape == self._probes.shape and bool(
            (np.einsum("nd,nd->n", probes, self._probes) >= _SAME_COSINE).all()
        )


async def _probe(server: RemoteEmbedder) -> Vectors:
    return np.stack([await server.embed_query(text) for text in _PROBES])


def _is_servers_own(error: EmbeddingError) -> bool:
    """Whether another server may do better."""
    return not isinstance(error, (TextRefusedError, BadVectorError))
