"""The tools of the demo, described in English, asked for in five languages."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from gateway.components import Components
from gateway.search.request import SearchRequest
from tests.support.listed import Tool, add_listed
from tests.support.rows import caller_with

CASES = Path(__file__).parents[1] / "cases"
# Two thirds: as many as static vectors of many languages find by themselves.
ENOUGH = 2 / 3


async def test_tools_are_found_by_queries_in_other_languages(parts: Components, tmp_path: Path) -> None:
    tools = json.loads((CASES / "demo-tools.json").read_text("utf-8"))
    of_server: dict[str, list[Tool]] = {}
    for tool in tools:
        of_server.setdefault(tool.pop("server"), []).append(tool)
    for server, listed in of_server.items():
        await add_listed(parts, tmp_path, *listed, name=server)
    caller = await caller_with(parts)
    asked: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for case in json.loads((CASES / "languages.json").read_text("utf-8")):
        outcome = await parts.finder.find(caller, SearchRequest((case["query"],), 5))
        best = [f"{tool.server}/{tool.name}" for tool in (*outcome.tools, *outcome.more)][:5]
        asked[case["language"]] += 1
        found[case["language"]] += bool(set(best) & set(case["tools"]))
        if case["language"] == "en":
            assert {f"{tool.server}/{tool.name}" for tool in outcome.tools} & set(case["tools"]), case["query"]
    for language in ("en", "ja", "zh"):
        assert found[language] >= ENOUGH * asked[language], (language, found)
    others = asked.keys() - {"en"}
    assert sum(found[other] for other in others) >= ENOUGH * sum(asked[other] for other in others), found
