"""The models whose vectors other programs can have: those of the spaces that the gateway itself embeds into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.downstream.embeddings.embeddings_request import InputType
from gateway.embedding.embedder import Vectors, stack_vectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import BadVectorError, EmbeddingError, NotFoundError


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model by its name, and since when the gateway has a space of it."""

    name: str
    provider: str
    created_at: datetime


class OfferedModels:
    """The configured model and, while another one still serves searches, that one, too.

    The standby answers for neither: its vectors cannot be compared with theirs.
    """

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces

    async def list(self) -> list[OfferedModel]:
        """All of them, the configured one first. Raises EmbeddingError while not one is known."""
        offered = await self._spaces_by_model()
        made = {record.stored.id: record.created_at for record in await self._spaces.store.records()}
        return [
            OfferedModel(name, stored.space.provider, made[stored.id])
            for name, stored in offered.items()
            if stored.id in made
        ]

    async def find(self, name: str) -> StoredSpace:
        """The space of a model. Raises NotFoundError, and EmbeddingError while not one is known."""
        offered = await self._spaces_by_model()
        if name not in offered:
            # Never another one instead: who has stored vectors of a model must not be given those of its successor.
            raise NotFoundError(f"There is no model {name[:200]!r} here; there is {' and '.join(offered)}.")
        return offered[name]

    async def embed(self, stored: StoredSpace, texts: Sequence[str], input_type: InputType) -> Vectors:
        """Vectors of texts, at least one, in their order: float32, shape (n, d). Raises EmbeddingError.

        Queries are kept with those of searches. Documents are not: a program that embeds its own by the thousand would
        leave no query of a search in memory.
        """
        if input_type == "query":
            return await self._spaces.embed_queries_in(stored, texts)
        distinct = list(dict.fromkeys(texts))
        vectors = stack_vectors(await self._spaces.embed_each_in(stored, distinct), len(distinct))
        if vectors.shape[1] != stored.space.dimensions:
            raise BadVectorError(
                f"{stored.space.model} gave vectors of {vectors.shape[1]} dimensions instead of "
                f"{stored.space.dimensions}",
                "try again in a moment",
            )
        places = {text: place for place, text in enumerate(distinct)}
        return vectors[[places[text] for text in texts]]

    async def _spaces_by_model(self) -> dict[str, StoredSpace]:
        offered: dict[str, StoredSpace] = {}
        failure: EmbeddingError | None = None
        try:
            configured = await self._spaces.configured_space()
            offered[configured.space.model] = configured
        except EmbeddingError as error:
            failure = error
        active = await self._spaces.known_active_space()
        if active is not None:
            offered.setdefault(active.space.model, active)
        if not offered and failure is not None:
            raise failure
        return offered
