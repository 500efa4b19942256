"""Catalogues of any size for benchmarks: real tools, and beyond their number variations of them."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from bench.sets.builtin import builtin
from gateway.access.roles import create_role, refresh_visibility
from gateway.catalog.sync.text_vectors import TextVectors, store_vectors
from gateway.catalog.sync.tool_terms import store_terms
from gateway.catalog.text import ToolTexts, build_tool_texts
from gateway.catalog.tool import parse_tool
from gateway.database.pool import Database
from gateway.embedding.embedder import Vectors

TENANT = 1
SERVERS = 60
NOISE = 0.5
"""Length of what is added to the unit vectors of a tool to have those of a variation of it."""
_BATCH_SIZE = 1_000

Tool = dict[str, Any]


def read_tools(folder: Path, size: int) -> list[Tool]:
    """The first `size` tools of the folder's file of real ones, or all where it holds fewer."""
    with gzip.open(folder / "toucan-mcp-tools.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(size), lines, strict=False)]


def read_queries(folder: Path) -> list[str]:
    """What agents ask, thousands of different texts."""
    with gzip.open(folder / "agent-queries.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(query for line in lines for query in json.loads(line)["queries"]))


class Filler:
    """Writes `size` tools with their words and vectors into the default tenant of a gateway's database."""

    def __init__(self, database: Database, tools: Sequence[Tool], size: int, seed: int = 7) -> None:
        self._database = database
        self._tools = tools
        self._size = size
        self._random = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._words = sorted({word for tool in tools for word in tool["description"].split() if word.isalpha()})

    async def fill(self, space_id: int) -> list[int]:
        """Their ids. Each is stored whole, so that the gateway never sees one without vectors."""
        texts = [build_tool_texts(_server(place), parse_tool(tool)) for place, tool in enumerate(self._tools)]
        vectors = _vectors(texts)
        servers = await self._add_servers()
        ids: list[int] = []
        batch: list[tuple[int, Tool]] = []
        for numbered in enumerate(self._all_tools()):
            batch.append(numbered)
            if len(batch) == _BATCH_SIZE or numbered[0] == self._size - 1:
                ids += await self._store(batch, servers, space_id, vectors)
                batch = []
        async with self._database.transaction() as transaction:
            await refresh_visibility(transaction, TENANT)
        await self._database.execute("analyze_catalogue")
        return ids

    async def add_role(self, name: str, tool_ids: Sequence[int]) -> None:
        """A role that finds these tools, and no others."""
        role = await create_role(self._database, TENANT, name)
        connection = await asyncpg.connect(self._database.url)
        await connection.execute(
            "INSERT INTO role_rules (tenant_id, role_id, tool_id, visibility) "
            "SELECT $1, $2, id, 'SEARCH' FROM unnest($3::bigint[]) AS id",
            *(TENANT, role.id, list(tool_ids)),
        )
        await connection.close()
        async with self._database.transaction() as transaction:
            await refresh_visibility(transaction, TENANT, role_id=role.id)

    def _all_tools(self) -> Iterator[Tool]:
        yield from self._tools[: self._size]
        for place in range(len(self._tools), self._size):
            tool = self._tools[place % len(self._tools)]
            words = tool["description"].split()
            for _ in range(max(1, len(words) // 5)):
                words.insert(self._random.randrange(len(words) + 1), self._random.choice(self._words))
            copy = place // len(self._tools)
            yield {**tool, "name": f"{tool['name'][:50]}_{copy}", "description": " ".join(words)}

    async def _add_servers(self) -> list[int]:
        connection = await asyncpg.connect(self._database.url)
        ids = [
            await connection.fetchval(
                "INSERT INTO servers (tenant_id, name, slug, transport, url, enabled) "
                "VALUES ($1, $2, $2, 'http', 'http://127.0.0.1:9/mcp', true) RETURNING id",
                *(TENANT, _server(number)),
            )
            for number in range(SERVERS)
        ]
        await connection.close()
        return ids

    async def _store(
        self, batch: Sequence[tuple[int, Tool]], servers: Sequence[int], space_id: int, vectors: dict[str, Vectors]
    ) -> list[int]:
        ids: list[int] = []
        texts: dict[int, ToolTexts] = {}
        embedded: dict[str, Vectors] = {}
        async with self._database.transaction() as transaction:
            for place, tool in batch:
                definition = parse_tool({key: tool[key] for key in ("name", "description", "inputSchema")})
                of_tool = build_tool_texts(_server(place), definition)
                name = f"{tool['name'][:40]}_{place}"
                names = (name, f"{_server(place)}__{re.sub('[^A-Za-z0-9_-]', '_', name)}")
                values = ("other", definition.json, definition.content_hash)
                tool_id = await transaction.fetchval("insert_tool", TENANT, servers[place % SERVERS], *names, *values)
                ids.append(tool_id)
                texts[tool_id] = of_tool
                original = self._tools[place % len(self._tools)]
                of_original = build_tool_texts(_server(place % len(self._tools)), parse_tool(original))
                for kind in ("name", "description", "combined"):
                    vector = vectors[getattr(of_original, kind)]
                    text = getattr(of_tool, kind)
                    embedded[text] = vector if text in vectors else self._varied(vector)
            await store_terms(transaction, TENANT, texts)
            await store_vectors(transaction, TENANT, space_id, texts, TextVectors(embedded))
            await transaction.execute("bump_catalogue_version", TENANT)
        return ids

    def _varied(self, vector: Vectors) -> Vectors:
        noise = self._numbers.normal(size=len(vector)).astype(np.float32)
        varied = vector + np.float32(NOISE) * noise / np.linalg.norm(noise)
        unit: Vectors = varied / np.linalg.norm(varied)
        return unit


def _server(place: int) -> str:
    return f"server{place % SERVERS}"


def _vectors(texts: Sequence[ToolTexts]) -> dict[str, Vectors]:
    """Of each text, made once and kept below `.bench/`."""
    distinct = list(dict.fromkeys(part for text in texts for part in (text.name, text.description, text.combined)))
    embedding = builtin()
    vectors: list[Vectors] = []
    for start in range(0, len(distinct), _BATCH_SIZE):
        # What is kept of one size serves the next larger one too.
        vectors += list(embedding.of_documents(distinct[start : start + _BATCH_SIZE]))
    return dict(zip(distinct, vectors, strict=True))
