"""The embedder of a space that still serves although the settings have moved on to another one."""

from __future__ import annotations

import asyncio

from gateway.embedding.embedder import Embedder, EmbeddingSpace
from gateway.embedding.embedder_factory import choose_former_embedder
from gateway.errors import EmbedderUnavailableError, EmbeddingError, ModelChangedError
from gateway.settings import EmbedderSettings


class FormerEmbedder:
    """Opens it when it is first asked for, and keeps it, or why there is none."""

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings
        self._opened: tuple[str, Embedder | EmbeddingError] | None = None
        self._lock = asyncio.Lock()

    async def get(self, space: EmbeddingSpace) -> Embedder:
        """The one that made `space`. Raises EmbeddingError where it is gone, or has other weights by now."""
        async with self._lock:
            if self._opened is None or self._opened[0] != space.key:
                await self.aclose()
                try:
                    self._opened = (space.key, await self._open(space))
                except EmbedderUnavailableError:
                    # It may be back for the next one who asks.
                    raise
                except EmbeddingError as error:
                    self._opened = (space.key, error)
            former = self._opened[1]
        if isinstance(former, EmbeddingError):
            raise EmbeddingError(former.detail, former.next_step)
        return former

    async def aclose(self) -> None:
        """Close what is open."""
        opened, self._opened = self._opened, None
        if opened is not None and not isinstance(opened[1], EmbeddingError):
            await opened[1].aclose()

    async def _open(self, space: EmbeddingSpace) -> Embedder:
        embedder = await choose_former_embedder(space, self._settings)
        try:
            build = await embedder.build() if embedder.is_remote else ""
            if build and space.build and build != space.build:
                raise ModelChangedError(
                    f"The stored vectors are of other weights than {space.model} has by now",
                    "wait until the tools are embedded with the new ones",
                )
        except EmbeddingError:
            await embedder.aclose()
            raise
        return embedder
