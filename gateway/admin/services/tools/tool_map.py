"""All tools of a tenant as points in two dimensions, near ones near."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from cachetools import LRUCache
from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.similarity.clusters import find_clusters
from gateway.catalog.similarity.duplicates import DUPLICATE_COSINE
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import EmbeddingError

_MAX_POINTS = 10_000
_MAX_MAPS = 16
_MAX_PAIRS = 500
_ROWS_PER_PRODUCT = 512


@dataclass(frozen=True, slots=True)
class MapFilter:
    """A query to be drawn in."""

    query: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A tool at `x` and `y`, each −1…1."""

    id: int
    name: str
    server_id: int
    server_name: str
    category: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two tools that mean nearly the same; `similarity` is the cosine of their combined texts."""

    one: int
    other: int
    similarity: float


@dataclass(frozen=True, slots=True)
class MapCluster:
    """So many `tools` that are near each other, around `x` and `y`, with the words that are commonest in them."""

    words: tuple[str, ...]
    tools: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class QueryPoint:
    """Where a query lies among the tools."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class ToolMap:
    """`points` in the plane of the two principal components; `explained` is the share of the variance in it, 0…1.

    `duplicates` are the nearest pairs at a cosine of 0.95 and more, nearest first; `clusters` are named groups of near
    tools, the largest first. `notice` says why something is
    missing, empty where nothing is.
    """

    points: tuple[MapPoint, ...]
    duplicates: tuple[NearPair, ...]
    clusters: tuple[MapCluster, ...]
    query: QueryPoint | None
    explained: float
    notice: str


@dataclass(frozen=True, slots=True)
class _Projection:
    """Principal components: `mean` (d,), `axes` (d, 2), `scale` (2,), all float32."""

    mean: Vectors
    axes: Vectors
    scale: Vectors
    explained: float

    def project(self, vectors: Vectors) -> Vectors:
        """Vectors of shape (n, d) as points of shape (n, 2)."""
        positions: Vectors = np.clip((vectors - self.mean) @ self.axes / self.scale, -1, 1)
        return positions


@dataclass(frozen=True, slots=True)
class _CachedMap:
    projection: _Projection | None
    map: ToolMap


class ToolMapService:
    """Draws maps, each once for a version of a catalogue."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces
        self._maps: LRUCache[tuple[int, int, int], _CachedMap] = LRUCache(_MAX_MAPS)

    async def get(self, tenant_id: int, catalogue_version: int, query: MapFilter) -> ToolMap:
        """The map of a tenant at a version of its catalogue."""
        try:
            space = await self._spaces.active_space()
        except EmbeddingError as error:
            return ToolMap((), (), (), None, 0.0, error.message)
        key = (tenant_id, catalogue_version, space.id)
        cached = self._maps.get(key)
        if cached is None:
            cached = await self._build(tenant_id, space.id)
            self._maps[key] = cached
        if query.query is None or cached.projection is None:
            return cached.map
        try:
            vectors = (await self._spaces.embed_queries((query.query,))).vectors
        except EmbeddingError as error:
            return replace(cached.map, notice=error.message)
        x, y = cached.projection.project(vectors)[0]
        return replace(cached.map, query=QueryPoint(round(float(x), 4), round(float(y), 4)))

    async def _build(self, tenant_id: int, space_id: int) -> _CachedMap:
        rows = await self._database.fetch("map_points", tenant_id, space_id, _MAX_POINTS)
        if len(rows) < 2:
            points = tuple(_point(row, 0.0, 0.0) for row in rows)
            return _CachedMap(
                None, ToolMap(points, (), (), None, 0.0, "There are too few tools with vectors for a map.")
            )
        vectors = np.array([row["vector"].to_numpy() for row in rows], dtype=np.float32)
        projection = await asyncio.to_thread(_principal_plane, vectors)
        duplicates = await asyncio.to_thread(_duplicate_pairs, [row["id"] for row in rows], vectors)
        positions = projection.project(vectors)
        points = tuple(_point(row, float(x), float(y)) for row, (x, y) in zip(rows, positions, strict=True))
        clusters = await asyncio.to_thread(_clusters, vectors, positions, [row["words"] for row in rows])
        notice = f"Only {_MAX_POINTS} tools are drawn." if len(rows) == _MAX_POINTS else ""
        return _CachedMap(projection, ToolMap(points, duplicates, clusters, None, projection.explained, notice))


def _principal_plane(vectors: Vectors) -> _Projection:
    """The plane of the two principal components of `vectors`, shape (n, d), scaled so that the farthest reach 1."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    values, axes = np.linalg.eigh(centred.T @ centred)
    first = np.ascontiguousarray(axes[:, [-1, -2]]).astype(np.float32)
    # A component may point either way; the map must not be turned over by a sync.
    first *= np.where(first[np.abs(first).argmax(axis=0), [0, 1]] < 0, -1, 1).astype(np.float32)
    scale = np.maximum(np.abs(centred @ first).max(axis=0), 1e-6)
    total = float(values.sum())
    return _Projection(mean, first, scale, float(values[-2:].sum()) / total if total > 0 else 0.0)


def _duplicate_pairs(ids: list[int], vectors: Vectors) -> tuple[NearPair, ...]:
    """Pairs of unit vectors with a cosine of 0.95 and more."""
    pairs: list[NearPair] = []
    for start in range(0, len(ids), _ROWS_PER_PRODUCT):
        cosines = vectors[start : start + _ROWS_PER_PRODUCT] @ vectors.T
        rows, columns = np.nonzero(np.triu(cosines >= DUPLICATE_COSINE, start + 1))
        # Where all tools are alike there are millions of pairs; the nearest of them are enough.
        nearest = np.argsort(-cosines[rows, columns], kind="stable")[:_MAX_PAIRS]
        for row, column in zip(rows[nearest], columns[nearest], strict=True):
            pairs.append(NearPair(ids[start + row], ids[column], round(float(cosines[row, column]), 4)))
    return tuple(sorted(pairs, key=lambda pair: -pair.similarity)[:_MAX_PAIRS])


def _clusters(vectors: Vectors, positions: Vectors, texts: list[str]) -> tuple[MapCluster, ...]:
    """Clusters of unit vectors, shape (n, d), at the middle of their points, shape (n, 2)."""
    clusters = []
    for cluster in find_clusters(vectors, texts):
        x, y = np.median(positions[list(cluster.rows)], axis=0)
        clusters.append(MapCluster(cluster.words, len(cluster.rows), round(float(x), 4), round(float(y), 4)))
    return tuple(clusters)


def _point(row: Row, x: float, y: float) -> MapPoint:
    return MapPoint(
        row["id"],
        row["exposed_name"],
        row["server_id"],
        row["server_name"],
        row["category"],
        round(x, 4),
        round(y, 4),
    )
