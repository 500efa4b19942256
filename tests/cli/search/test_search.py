"""`modelgate search`: what is shown of a search, and where nothing is found."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tests.cli.process import CommandLine
from tests.support.listed import listed_command, tool

TOOLS = [tool("read_file", "Reads a file"), tool("send_mail", "Sends an e-mail")]


async def test_it_says_why_each_tool_is_where_it_is_and_what_to_do_where_nothing_is_found(
    modelgate: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(json.dumps({"tools": TOOLS}))
    command, arguments = listed_command(tmp_path / "tools.json")
    await modelgate.succeed("servers", "add", "Listed", "--", command, *arguments)
    await modelgate.succeed("sync")
    await modelgate.succeed("tools", "example", "add", "listed/read_file", "what did the accountant leave us")

    explained = (await modelgate.succeed("search", "send mail", "--explain")).splitlines()
    assert explained[0].split() == ["SCORE", "NAME", "OUTCOME", "SIMILARITY", "WORDS", "EXAMPLES"]
    assert re.fullmatch(r"0\.\d\d +listed__send_mail +found +0\.\d\d +\d+\.\d", explained[1])
    assert re.match(r"0\.\d\d +listed__read_file +cut +-?0\.\d\d +0\.0", explained[2])
    learnt = await modelgate.succeed("search", "what did the accountant leave us", "--explain")
    assert re.search(r"listed__read_file +found .* Raised by 1 example: \+0\.\d\d\.", learnt)

    for more in ((), ("--explain",)):
        nothing = await modelgate.succeed("search", "send mail", "--category", "git", *more)
        assert nothing == "No tool matches; try other or more general words.\n"
    both = await modelgate("search", "send mail", "--explain", "--json")
    assert (both.code, both.out) == (2, "")
    assert "leave out one" in both.err


async def test_it_imports_only_what_a_search_needs(modelgate: CommandLine) -> None:
    process = replace(modelgate, in_process=False)
    ended = await process("search", "send mail", PYTHONPROFILEIMPORTTIME="1")
    imported = set(re.findall(r"\| +([\w.]+)$", ended.err, re.MULTILINE))
    assert "gateway.search.finder" in imported
    others = {"httpx2", "prometheus_client", "opensearchpy", "mcp", "starlette", "uvicorn", "authlib", "jsonschema"}
    assert not imported & {*others, "cryptography", "jinja2", "gateway.components", "gateway.admin"}
