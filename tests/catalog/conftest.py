"""An embedding server for syncs that are to be counted or disturbed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.components import Components, open_components
from gateway.settings import EmbedderSettings, Settings
from tests.doubles.embedding_server import EmbeddingServer


@pytest.fixture
async def embedder() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as server:
        yield server


@pytest.fixture
def served_settings(settings: Settings, embedder: EmbeddingServer) -> Settings:
    """Settings of a gateway that embeds with the server."""
    alone = EmbedderSettings(
        type="ollama", base_url=embedder.url, timeout_seconds=2.0, standby=False, space_grace_hours=0
    )
    return replace(settings, embedder=alone)


@pytest.fixture
async def served(served_settings: Settings) -> AsyncIterator[Components]:
    """The parts of that gateway."""
    async with open_components(served_settings) as opened:
        yield opened
