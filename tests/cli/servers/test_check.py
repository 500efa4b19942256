"""`modelgate servers check`: whether a server answers, and what it wrote where it does not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.cli.process import CommandLine
from tests.doubles.http_api import HttpApi
from tests.support.serving import serving

RAW = Path(__file__).parents[2] / "upstream" / "servers" / "raw.py"


async def test_a_server_that_does_not_answer_is_told(servers: CommandLine) -> None:
    await servers.succeed("add", "Gone", sys.executable, "--", "-I", "-S", str(RAW), "exit")
    assert "exited with code 7" in await servers.fail("check", "Gone")
    assert re.search(r"Gone .* failing", await servers.succeed("list"))


async def test_what_a_server_wrote_before_it_ended_is_shown_line_by_line_and_does_nothing_to_the_terminal(
    servers: CommandLine, modelgate: CommandLine
) -> None:
    said = "\\x1b[2J\\x1b]0;pwned\\x07first\\r\\nno \\u202elicence\\u202c: set TOKEN\\n"
    await servers.succeed(
        "add", "Gone", sys.executable, "--", "-c", f"import sys; sys.stderr.write('{said}'); sys.exit(3)"
    )
    for result in (await servers("check", "Gone"), await modelgate("sync", "Gone")):
        assert result.code == 1
        shown = result.out + result.err
        assert "exited with code 3" in shown
        assert "It wrote to its standard error output:" in shown
        assert re.search(r"\| +no +licence +: set TOKEN\n", shown)
        assert all(character.isprintable() or character == "\n" for character in shown)


async def test_only_the_end_of_much_that_a_server_wrote_is_shown(servers: CommandLine) -> None:
    await servers.succeed(
        "add", "Chatty", sys.executable, "--", "-c", "print('line\\n' * 5000, file=__import__('sys').stderr)"
    )
    assert (await servers.fail("check", "Chatty")).count("| line") == 10


async def test_an_api_is_added_by_its_document(servers: CommandLine) -> None:
    async with serving(HttpApi().app()) as url:
        await servers.succeed("add", "Pets", f"{url}/openapi.json", "--openapi")
        await servers.succeed("check", "Pets")
        shown = await servers.succeed("show", "Pets")
    assert re.search(r"Transport: +openapi", shown)
    assert re.search(r"Health: +connected", shown)


async def test_a_failed_sync_and_health_are_told_apart(modelgate: CommandLine) -> None:
    command = (sys.executable, "-I", "-S", str(RAW), "handshake", "tools-refused")
    await modelgate("servers", "add", "Half", "--", *command)
    assert "Half: failed." in (await modelgate("sync")).out
    assert (await modelgate("servers", "check", "Half")).code == 0
    shown = (await modelgate("servers", "list")).out
    assert re.search(r"^NAME +TRANSPORT +TOOLS +STATE +LAST SYNC +HEALTH$", shown, re.MULTILINE)
    assert re.search(r"^Half +stdio +0 +failing +never +connected, [0-9.]+ ms$", shown, re.MULTILINE)


async def test_the_list_says_why_a_server_does_not_answer(modelgate: CommandLine, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    await modelgate("servers", "add", "Broken", "--", sys.executable, str(script))
    script.write_text("import sys\nprint('starting', file=sys.stderr)\nsys.exit('TOKEN is not set')\n")
    assert (await modelgate("servers", "check", "Broken")).code == 1
    shown = (await modelgate("servers", "list")).out
    assert "Broken: does not answer: Server Broken exited with code 1: TOKEN is not set" in shown
    assert re.search(r"^Broken +stdio +0 +never synced +never +failing *$", shown, re.MULTILINE)
