"""`modelgate embeddings`: what is shown of spaces, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from gateway.catalog.sync.vector_filler import VectorFiller
from gateway.components import open_components
from gateway.settings import load_settings
from tests.cli.process import CommandLine
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.listed import listed_command, tool

TOOLS = [tool("read_file", "Reads a file"), tool("send_mail", "Sends an e-mail")]


async def test_without_a_space_it_says_what_makes_one(modelgate: CommandLine) -> None:
    await modelgate("migrate")
    assert "the first sync makes one" in (await modelgate("embeddings", "status")).out
    assert "There is no other space." in (await modelgate("embeddings", "switch")).err
    assert "No space is paused." in (await modelgate("embeddings", "resume")).err
    assert "There is no space 7." in (await modelgate("embeddings", "drop", "7", "--yes")).err


async def test_the_cache_of_queries_is_cleared(modelgate: CommandLine) -> None:
    await modelgate("migrate")
    assert "The vectors of 0 queries" in (await modelgate("embeddings", "clear-cache")).out


async def test_two_spaces_are_shown_compared_gone_over_to_paused_and_dropped(
    modelgate: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(json.dumps({"tools": TOOLS}))
    command, arguments = listed_command(tmp_path / "tools.json")
    with EmbeddingServer(models=("first", "second")) as ollama:
        environ = {
            **modelgate.environ,
            "MODELGATE_EMBEDDER_TYPE": "ollama",
            "MODELGATE_EMBEDDER_BASE_URL": ollama.url,
            "MODELGATE_EMBEDDER_STANDBY": "false",
        }
        first = replace(modelgate, environ={**environ, "MODELGATE_EMBEDDER_MODEL": "first"})
        second = replace(modelgate, environ={**environ, "MODELGATE_EMBEDDER_MODEL": "second"})
        await first.succeed("servers", "add", "Listed", "--", command, *arguments)
        await first.succeed("sync")
        await second.succeed("sync")
        shown = await second.succeed("embeddings", "status")
        assert re.search(r"^1 +first +ollama +256 +[0-9a-f]{12} +2 of 2 +serving +\d{4}-", shown, re.MULTILINE)
        assert re.search(r"^2 +second +ollama +256 +[0-9a-f]{12} +2 of 2 +filling +\d{4}-", shown, re.MULTILINE)

        compared = await second.succeed("embeddings", "compare", "send mail")
        for space in ("1 (first)", "2 (second)"):
            assert re.search(
                rf"Space {re.escape(space)}, \d+ ms:\n    0\.\d+  listed__send_mail\n    0\.\d+ \(cut\)  listed__read",
                compared,
            )
        assert compared.endswith("2 tools are in both.\n")
        assert "query has to be a string" in await second.fail("embeddings", "compare", " ")
        assert "There is no space 7." in await second.fail("embeddings", "compare", "send mail", "--space", "7")

        shared = await second.succeed("embeddings", "switch", "--share", "20")
        assert shared == "20% of the searches will use space 2 (second) once it holds all tools (2 so far).\n"
        assert "filling 20%" in await second.succeed("embeddings", "status")
        assert "once a gateway that runs has noted that" in await second.fail("embeddings", "switch")
        assert await second.succeed("embeddings", "switch", "1") == "Searches use space 1 (first) now.\n"
        assert "20%" not in await second.succeed("embeddings", "status")

        assert "Space 2 is paused" in await second.succeed("embeddings", "pause", "2")
        assert "Space 2: Paused: on request." in await second.succeed("embeddings", "status")
        resumed = await second.succeed("embeddings", "resume")
        assert resumed == "Space 2 goes on; 0 tools are left to be embedded.\n"
        await fill(second)
        assert await second.succeed("embeddings", "switch", "1") == "Searches use space 1 (first) now.\n"
        shared = await second.succeed("embeddings", "switch", "2", "--share", "20")
        assert shared == "20% of the searches use space 2 (second) now.\n"
        assert await second.succeed("embeddings", "switch", "2") == "Searches use space 2 (second) now.\n"
        assert "Space 2 serves" in await second.fail("embeddings", "drop", "2", "--yes")
        kept = await second("embeddings", "drop", "1", stdin="n\n")
        assert (kept.code, kept.err) == (1, "Aborted!\n")
        assert await second.succeed("embeddings", "drop", "1", "--yes") == "Space 1 (first) is dropped.\n"
        assert "first" not in await second.succeed("embeddings", "status")
    # Its server is gone: that is told beside what is found by words alone.
    found = await second("search", "send mail")
    assert (found.code, "listed__send_mail" in found.out) == (0, True)
    assert found.err.startswith("Semantic search is unavailable, these results are by words alone: Ollama at ")


async def fill(modelgate: CommandLine) -> None:
    """Fill the spaces, as a gateway that runs does."""
    async with open_components(load_settings(environ=modelgate.environ)) as parts:
        await VectorFiller(parts.database, parts.spaces, parts.categories).fill()
