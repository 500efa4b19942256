"""What everybody asks for: the requests by which it is measured how much a tool gains beyond what was meant."""

from __future__ import annotations

from importlib import resources

from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.search.ranking import Floats


def background_requests() -> tuple[str, ...]:
    """Requests of all kinds, one a line in the package."""
    text = (resources.files("gateway.search.learning") / "background_requests.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line)


class BackgroundVectors:
    """The vectors of background requests, by space."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._vectors: dict[int, Floats] = {}

    async def vectors(self, space: StoredSpace) -> Floats:
        """Float32 (n, d). Raises EmbeddingError."""
        if space.id not in self._vectors:
            self._vectors[space.id] = await self._spaces.embed_queries_in(space, background_requests())
        return self._vectors[space.id]
