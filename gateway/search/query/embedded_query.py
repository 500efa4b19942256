"""A query and its clauses, with their vectors."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.embedding.spaces.query_embedding import QueryVectors
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError
from gateway.search.query.clauses import clauses_of


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """`texts` are the query and its clauses, `vectors` theirs in that order: None where they could not be embedded, and
    `embedding_error` says why. `space` is the one whose tools are searched, None where none serves."""

    texts: tuple[str, ...]
    vectors: QueryVectors | None
    space: StoredSpace | None
    embedding_error: str = ""


async def embed_query(spaces: Spaces, query: str, space: StoredSpace | None = None) -> EmbeddedQuery:
    """A query with its clauses; an embedder that is down is no error.

    With `space` in that one, whichever serves; then it raises EmbeddingError.
    """
    texts = (query, *clauses_of(query))
    if space is not None:
        return EmbeddedQuery(texts, QueryVectors(space, await spaces.embed_queries_in(space, texts)), space)
    try:
        vectors = await spaces.embed_queries(texts)
    except EmbeddingError as error:
        # Its index, without asking for its vectors: there is no need of another one for words alone.
        return EmbeddedQuery(texts, None, await spaces.known_active_space(), error.message)
    return EmbeddedQuery(texts, vectors, vectors.stored)
