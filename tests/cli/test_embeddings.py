"""`modelgate embeddings`: what is shown of spaces, and what is refused."""

from __future__ import annotations

from tests.cli.process import CommandLine


async def test_without_a_space_it_says_what_makes_one(modelgate: CommandLine) -> None:
    await modelgate("migrate")
    assert "the first sync makes one" in (await modelgate("embeddings", "status")).out
    assert "There is no other space." in (await modelgate("embeddings", "switch")).err
    assert "No space is paused." in (await modelgate("embeddings", "resume")).err
    assert "There is no space 7." in (await modelgate("embeddings", "drop", "7", "--yes")).err


async def test_the_cache_of_queries_is_cleared(modelgate: CommandLine) -> None:
    await modelgate("migrate")
    assert "The vectors of 0 queries" in (await modelgate("embeddings", "clear-cache")).out
