"""`modelgate learn status|forget` as a user types it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

from gateway.access.tool_names import tool_by_name
from gateway.components import Components
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.usage.pair_store import EmbeddedPair, PairStore, QueryToolPair
from tests.cli.process import CommandLine
from tests.support.gateway import add_local_mcp


async def test_it_says_what_is_learnt_and_forgets_what_it_is_told_to(modelgate: CommandLine) -> None:
    told = (await modelgate("learn", "status")).out
    assert told.startswith('Calls that follow searches are counted and have no effect; learn.from_use = "on"')
    assert json.loads((await modelgate("learn", "status", "--json")).out)["from_use"] == "observe"
    assert (await modelgate("learn", "forget", "--all")).out == "0 texts are forgotten.\n"
    assert (await modelgate("learn", "forget", "--before", "30d")).out == "0 texts are forgotten.\n"
    for mistake in (("--all", "--before", "30d"), ()):
        refused = await modelgate("learn", "forget", *mistake)
        assert (refused.code, "Say what to forget" in refused.err) == (2, True)
    unknown = await modelgate("learn", "forget", "--caller", "7")
    assert unknown.code == 1


async def test_a_caller_is_forgotten_by_name_and_what_others_said_as_well_stays(
    parts: Components, modelgate: CommandLine, tmp_path: Path
) -> None:
    await add_local_mcp(parts, tmp_path)
    tool = await tool_by_name(parts.database, 1, "local_mcp__calculator")
    keys = {name: (await parts.keys.create(1, name, ["all"])).id for name in ("alice", "bob")}
    space = await parts.spaces.active_space()
    said = [("alice", "split the bill"), ("alice", "add it up"), ("bob", "add it up")]
    vectors = await parts.spaces.embed_queries_in(space, [text for _, text in said])
    now = datetime.now(timezone.utc)
    pairs = [QueryToolPair(1, tool.id, f"key {keys[name]}", text, 1.0, now) for name, text in said]
    await PairStore(parts.database, ExampleRules("on")).count(
        1, [EmbeddedPair(*each) for each in zip(pairs, vectors, strict=True)], space
    )
    assert (await modelgate("learn", "forget", "--caller", "alice")).out == (
        "1 text is forgotten.\n1 that others have said as well count by what those said.\n"
    )
    (left,) = await parts.examples.list(1, tool.id)
    assert (left.text, left.callers) == ("add it up", 1)
