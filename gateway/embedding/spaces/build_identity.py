"""Which weights are behind a model's name: a server may have others there from one moment to the next."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gateway.embedding.embedder import Embedder, EmbeddingSpace, Vectors
from gateway.embedding.spaces.space_store import SpaceRecord
from gateway.errors import ModelChangedError

logger = logging.getLogger(__name__)

_PROBES = (
    "Get the current weather of a city.",
    "create_issue(owner, repo, title, body)",
    "Wie wird das Wetter morgen? 明日の天気は",
)
# The same weights give the same vectors but for what rounding and other hardware change.
_SAME_COSINE = 0.999
_PROBE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class IdentifiedSpace:
    """The space of an embedder's vectors as it is now; `probes` are those of the probe texts, None where it names its
    build itself.
    """

    space: EmbeddingSpace
    probes: Vectors | None = None


class BuildIdentity:
    """Finds the space of an embedder, as cheaply as it can be told: by its digest, else by embedding three texts."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._probed_at = 0.0

    async def identify(self, stored: Sequence[SpaceRecord]) -> IdentifiedSpace:
        """Its space, which is one of `stored` where its weights are those. Raises EmbeddingError."""
        alike = [record for record in stored if self._embedder.matches_space(record.stored.space)]
        build = await self._embedder.build()
        if build:
            for record in alike:
                space = record.stored.space
                # A space of which the build is not known takes the first that is seen.
                if space.build in (build, "") and not record.is_gone:
                    return IdentifiedSpace(replace(space, build=build))
            return IdentifiedSpace(await self._embedder.space())
        return await self._identify_by_probes(alike)

    async def changed(self, space: EmbeddingSpace) -> bool:
        """Whether the model behind `space`, this embedder's, has other weights by now. Raises EmbeddingError."""
        if space.build and (build := await self._embedder.build()):
            return build != space.build
        return False

    def is_due(self) -> bool:
        """Whether weights that only vectors tell of are to be looked at again."""
        return time.monotonic() - self._probed_at > _PROBE_SECONDS

    async def _identify_by_probes(self, alike: Sequence[SpaceRecord]) -> IdentifiedSpace:
        try:
            probes = np.stack(await asyncio.gather(*(self._embedder.embed_query(text) for text in _PROBES)))
        except ModelChangedError:
            # It has told; now it says what it has become.
            probes = np.stack(await asyncio.gather(*(self._embedder.embed_query(text) for text in _PROBES)))
        self._probed_at = time.monotonic()
        for record in alike:
            space = record.stored.space
            if record.is_gone or space.dimensions != probes.shape[1]:
                continue
            if record.probes is None and not space.build:
                return IdentifiedSpace(replace(space, build=_name(probes)), probes)
            if record.probes is not None and _are_same(record.probes, probes):
                return IdentifiedSpace(space, record.probes)
        return IdentifiedSpace(replace(await self._embedder.space(), build=_name(probes)), probes)


def _are_same(stored: Vectors, probes: Vectors) -> bool:
    return stored.shape == probes.shape and bool((np.einsum("nd,nd->n", stored, probes) >= _SAME_COSINE).all())


def _name(probes: Vectors) -> str:
    return hashlib.sha256(np.round(probes, 4).tobytes()).hexdigest()
