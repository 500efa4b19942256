"""What two spaces answer, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.embedding.local.builtin import BuiltinEmbedder
from gateway.embedding.spaces.space_switch import SpaceSwitch
from gateway.settings import EmbedderSettings, Settings
from tests.admin.conftest import Person
from tests.cli.shell import Shell
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.gateway import RunningGateway, add_local_mcp


@pytest.fixture
def ollama() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
def settings(settings: Settings, ollama: EmbeddingServer) -> Settings:
    chosen = EmbedderSettings(type="ollama", base_url=ollama.url)
    return replace(settings, embedder=chosen)


async def test_a_query_is_answered_by_both_spaces_during_a_share(
    gateway: RunningGateway, admin: Person, settings: Settings, ollama: EmbeddingServer, tmp_path: Path
) -> None:
    parts = gateway.parts
    await add_local_mcp(parts, tmp_path)
    await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
    builtin = BuiltinEmbedder()
    standby = await parts.spaces.store.register(await builtin.space())
    await builtin.aclose()
    await SpaceSwitch(parts.spaces.store).switch(standby.id, share=10)

    compared = (await admin.post("/embedding/compare", {"query": "calculate math expressions"})).json()
    first, second = compared["answers"]
    assert [first["model"], second["space"]] == ["nomic-embed-text", standby.id]
    assert second["tools"][0]["name"] == "local_mcp__calculator"
    assert 0 < compared["common"] <= 5
    assert (await admin.post("/embedding/compare", {"query": "x", "role_id": 4711})).status_code == 404
    page = (await admin.http.get("/admin/t/default/embedding", params={"compare": "calculate"})).text
    assert page.count("local_mcp__calculator") == 2

    shell = Shell(
        {
            "MODELGATE_DATABASE_URL": settings.database.url,
            "MODELGATE_DATA_DIR": str(settings.data_dir),
            "MODELGATE_EMBEDDER_TYPE": "ollama",
            "MODELGATE_EMBEDDER_URL": ollama.url,
        }
    )
    said = await anyio.to_thread.run_sync(lambda: shell.says("embeddings", "compare", "calculate math expressions"))
    assert f"Space {standby.id}" in said
    assert said.count("local_mcp__calculator") == 2

    await anyio.to_thread.run_sync(ollama.stop)
    compared = (await admin.post("/embedding/compare", {"query": "a fresh query"})).json()
    assert "does not answer" in compared["answers"][0]["error"]
    assert compared["answers"][1]["tools"]
