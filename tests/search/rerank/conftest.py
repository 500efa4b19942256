"""Servers that rank, and tools to be ranked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.search.index.tool_card import ToolCard
from tests.doubles.ranking_server import Kind, RankingServer

Serve = Callable[..., Any]

TEXTS = ("send a mail", "list the files of a folder", "weather of a city", "mail a file to a person")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a double of a kind until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(kind: Kind, **more: Any) -> RankingServer:
            return await stack.enter_async_context(RankingServer(kind, **more).running())

        yield start


def card(number: int, description: str, **more: Any) -> ToolCard:
    """A tool with one parameter."""
    schema = {"type": "object", "properties": {"which": {"type": "string", "description": "which one"}}}
    values: dict[str, Any] = {
        "tool_id": number,
        "exposed_name": f"office__tool_{number}",
        "name": f"tool_{number}",
        "server_id": 1,
        "server": "Office",
        "category": "other",
        "title": None,
        "description": description,
        "input_schema_json": json.dumps(schema),
        "annotations_json": None,
        "icons_json": None,
    }
    return ToolCard(**{**values, **more})


CARDS = tuple(card(number, text) for number, text in enumerate(TEXTS))
