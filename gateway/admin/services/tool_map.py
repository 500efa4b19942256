"""All tools of a tenant as points in two dimensions, near ones near."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from cachetools import LRUCache
from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors
from gateway.embedding.spaces import Spaces
from gateway.errors import EmbeddingError

_MOST_POINTS = 10_000
_MAX_MAPS = 16
_DUPLICATE = 0.95
_MOST_PAIRS = 500
_ROWS_AT_A_TIME = 512


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
class QueryPoint:
    """Where a query lies among the tools."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class ToolMap:
    """`points` in the plane of the two principal components; `explained` is the share of the variance in it, 0…1.

    `duplicates` are the nearest pairs at a cosine of 0.95 and more, nearest first. `notice` says why something is
    missing, empty where nothing is.
    """

    points: tuple[MapPoint, ...]
    duplicates: tuple[NearPair, ...]
    query: QueryPoint | None
    explained: float
    notice: str


@dataclass(frozen=True, slots=True)
class _Plane:
    """Principal components: `mean` (d,), `axes` (d, 2), `scale` (2,), all float32."""

    mean: Vectors
    axes: Vectors
    scale: Vectors
    explained: float

    def place(self, vectors: Vectors) -> Vectors:
        """Vectors of shape (n, d) as points of shape (n, 2)."""
        placed: Vectors = np.clip((vectors - self.mean) @ self.axes / self.scale, -1, 1)
        return placed


@dataclass(frozen=True, slots=True)
class _Drawn:
    plane: _Plane | None
    map: ToolMap


class ToolMapService:
    """Draws maps, each once for a version of a catalogue."""

    def __init__(self, database: Database, spaces: Spaces) -> None:
        self._database = database
        self._spaces = spaces
        self._drawn: LRUCache[tuple[int, int, int], _Drawn] = LRUCache(_MAX_MAPS)

    async def get(self, tenant_id: int, catalogue_version: int, wanted: MapFilter) -> ToolMap:
        """The map of a tenant at a version of its catalogue."""
        try:
            space = await self._spaces.active_space()
        except EmbeddingError as error:
            return ToolMap((), (), None, 0.0, error.message)
        key = (tenant_id, catalogue_version, space.id)
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = await self._draw(tenant_id, space.id)
            self._drawn[key] = drawn
        if wanted.query is None or drawn.plane is None:
            return drawn.map
        try:
            vector = (await self._spaces.embed_query(wanted.query)).vector
        except EmbeddingError as error:
            return replace(drawn.map, notice=error.message)
        x, y = drawn.plane.place(vector.reshape(1, -1))[0]
        return replace(drawn.map, query=QueryPoint(round(float(x), 4), round(float(y), 4)))

    async def _draw(self, tenant_id: int, space_id: int) -> _Drawn:
        rows = await self._database.fetch("map_points", tenant_id, space_id, _MOST_POINTS)
        if len(rows) < 2:
            points = tuple(_point(row, 0.0, 0.0) for row in rows)
            return _Drawn(None, ToolMap(points, (), None, 0.0, "There are too few tools with vectors for a map."))
        vectors = np.array([row["vector"].to_numpy() for row in rows], dtype=np.float32)
        plane = await asyncio.to_thread(_plane_of, vectors)
        duplicates = await asyncio.to_thread(_near_pairs, [row["id"] for row in rows], vectors)
        placed = zip(rows, plane.place(vectors), strict=True)
        points = tuple(_point(row, float(x), float(y)) for row, (x, y) in placed)
        notice = f"Only {_MOST_POINTS} tools are drawn." if len(rows) == _MOST_POINTS else ""
        return _Drawn(plane, ToolMap(points, duplicates, None, plane.explained, notice))


def _plane_of(vectors: Vectors) -> _Plane:
    """The plane of the two principal components of `vectors`, shape (n, d), scaled so that the farthest reach 1."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    values, axes = np.linalg.eigh(centred.T @ centred)
    first = np.ascontiguousarray(axes[:, [-1, -2]]).astype(np.float32)
    # A component may point either way; the map must not be turned over by a sync.
    first *= np.where(first[np.abs(first).argmax(axis=0), [0, 1]] < 0, -1, 1).astype(np.float32)
    scale = np.maximum(np.abs(centred @ first).max(axis=0), 1e-6)
    total = float(values.sum())
    return _Plane(mean, first, scale, float(values[-2:].sum()) / total if total > 0 else 0.0)


def _near_pairs(ids: list[int], vectors: Vectors) -> tuple[NearPair, ...]:
    """Pairs of unit vectors with a cosine of 0.95 and more."""
    pairs: list[NearPair] = []
    for start in range(0, len(ids), _ROWS_AT_A_TIME):
        cosines = vectors[start : start + _ROWS_AT_A_TIME] @ vectors.T
        for row, column in np.argwhere(cosines >= _DUPLICATE):
            if start + row < column:
                pairs.append(NearPair(ids[start + row], ids[column], round(float(cosines[row, column]), 4)))
    return tuple(sorted(pairs, key=lambda pair: -pair.similarity)[:_MOST_PAIRS])


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
