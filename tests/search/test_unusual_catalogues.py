"""Catalogues of one tool, of ten thousand equal ones, of tools that say little; queries that ask for nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from gateway.access.roles import refresh_visibility
from gateway.components import Components
from gateway.search.ranking import ASSUMED_BASELINE
from gateway.search.request import SearchOutcome, SearchRequest
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.support.listed import add_listed, tool
from tests.support.rows import caller_with, rows, value

MANY = 10_000


async def find(parts: Components, query: str, results: int = 5) -> SearchOutcome:
    return await parts.finder.find(await caller_with(parts), SearchRequest((query,), results))


async def settle(parts: Components) -> None:
    """What everyday requests find is measured beside the first searches, and settles the scores."""
    for _ in range(1_000):
        if await parts.index.baseline(1, await parts.spaces.active_space()) != ASSUMED_BASELINE:
            return
        await asyncio.sleep(0.02)


async def test_the_only_tool_is_found_by_what_it_does_and_by_nothing_else(parts: Components, tmp_path: Path) -> None:
    await add_listed(parts, tmp_path, tool("send_mail", "Send an e-mail to a person", to="address"))
    await settle(parts)
    for query in ("send an e-mail", "mail somebody", "send_mail", "write a message to my boss by mail"):
        outcome = await find(parts, query)
        assert [found.name for found in outcome.tools] == ["send_mail"], query
    for query in ("boil pasta", "the weather tomorrow", "asdf qwer", "the", "?", "🐄"):
        outcome = await find(parts, query)
        assert (outcome.total_found, outcome.tools) == (0, ()), query
        assert [found.name for found in outcome.more] == ["send_mail"]


async def test_an_empty_catalogue_is_searched_without_a_word(parts: Components) -> None:
    outcome = await find(parts, "send an e-mail")
    assert (outcome.total_found, outcome.tools, outcome.more) == (0, (), ())


async def test_tools_that_are_all_the_same_are_all_found_alike(parts: Components, tmp_path: Path) -> None:
    server = await add_listed(
        parts, tmp_path, *(tool(f"mail_{number}", "Send an e-mail to a person", to="address") for number in range(20))
    )
    await settle(parts)
    url, original = parts.database.url, await value(parts.database.url, "SELECT min(id) FROM tools")
    await rows(url, "DELETE FROM tools WHERE id <> $1", original)
    await rows(
        url,
        """INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash, term_count,
                              terms_version)
           SELECT tenant_id, server_id, 'mail_copy' || n, 'listed__mail_copy' || n, category, definition, content_hash,
                  term_count, terms_version
           FROM tools, generate_series(2, $1::int) AS n""",
        MANY,
    )
    await rows(
        url,
        """INSERT INTO tool_terms (tenant_id, lexeme, tool_id, count)
           SELECT w.tenant_id, w.lexeme, t.id, w.count FROM tool_terms w JOIN tools t ON t.id <> w.tool_id""",
    )
    await rows(
        url,
        """INSERT INTO tool_embeddings (tenant_id, tool_id, space_id, text_hash, name_embedding,
                                        description_embedding, combined_embedding)
           SELECT e.tenant_id, t.id, e.space_id, e.text_hash, e.name_embedding, e.description_embedding,
                  e.combined_embedding
           FROM tool_embeddings e JOIN tools t ON t.id <> e.tool_id""",
    )
    async with parts.database.transaction() as transaction:
        await refresh_visibility(transaction, 1, server_id=server.id)
        await transaction.execute("bump_catalogue_version", 1)
    for query in ("send an e-mail", "mail somebody", "boil pasta", "the"):
        outcome = await find(parts, query)
        assert outcome.total_found in (0, MANY), query
        assert len(outcome.tools) == min(outcome.total_found, 5)
        scores = {found.match.score for found in (*outcome.tools, *outcome.more)}
        assert len(scores) == 1
        assert 0 <= scores.pop() <= 1
        assert outcome == await find(parts, query)
    named = await find(parts, "listed__mail_copy4711")
    assert named.tools[0].exposed_name == "listed__mail_copy4711"
    assert named.tools[0].match.score == 1


async def test_tools_without_a_description_are_found_by_their_names_and_parameters(
    parts: Components, tmp_path: Path
) -> None:
    bare: list[dict[str, Any]] = [
        {"name": "readFile", "inputSchema": {"type": "object"}},
        {"name": "calendar.create-event", "description": "", "inputSchema": {"type": "object"}},
        {"name": "x1", "inputSchema": {"type": "object", "properties": {"email_address": {"type": "string"}}}},
        {"name": "get_weather", "description": " \n", "inputSchema": {"type": "object", "properties": {}}},
        {"name": "_", "inputSchema": {"type": "object"}},
    ]
    await add_listed(parts, tmp_path, *bare)
    await settle(parts)
    for query, name in (
        ("read a file", "readFile"),
        ("create an event in the calendar", "calendar.create-event"),
        ("e-mail address", "x1"),
        ("weather in Rome", "get_weather"),
        ("_", "_"),
    ):
        assert name in [found.name for found in (await find(parts, query)).tools], query


LONG = ("x" * 4_000, "weather " * 500, "天气" * 2_000)
EMPTY = (
    "a",
    "Z",
    "7",
    "法",
    "ß",
    "🐄",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "the and of to",
    "?!",
    ".",
    "\u200b",
)


async def test_queries_that_ask_nothing_are_answered_in_json_like_any_other(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    await settle(gateway.parts)
    for query in (*LONG, *EMPTY):
        for arguments in ({"query": query}, {"queries": [query, "calculate 2 + 2"]}):
            result = await gateway.call("tool_search", arguments)
            assert result["isError"] is False, result
            text = result["content"][0]["text"]
            assert len(text) <= 10_000
            found = json.loads(text)["tools"]
            assert all(0 <= each["_metadata"]["score"] <= 1 for each in found)
            if "queries" in arguments:
                assert "calculator" in [each["_metadata"]["tool"] for each in found], query
            elif query in EMPTY:
                assert found == [], query
