"""`modelgate servers check`: whether a server answers, and what it wrote where it does not."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from gateway.catalog.sync.health_check import HealthChecks
from gateway.components import open_components
from gateway.settings import load_settings
from tests.cli.process import CommandLine
from tests.doubles.http_api import HttpApi
from tests.support.rows import rows
from tests.support.serving import serving

RAW = Path(__file__).parents[2] / "upstream" / "servers" / "raw.py"


async def test_a_server_that_does_not_answer_is_told(servers: CommandLine) -> None:
    await servers.succeed("add", "Gone", sys.executable, "--", "-I", "-S", str(RAW), "exit")
    assert "exited with code 7" in await servers.fail("check", "Gone")
    checked = await servers("check", "Gone", "--json")
    assert (checked.code, checked.err) == (1, "")
    said = json.loads(checked.out)
    assert (said["server"], said["latency_ms"]) == ("Gone", None)
    assert "exited with code 7" in said["error"]
    # The gateway starts it with another PATH and in another environment, and has not been asked.
    assert "failing" not in await servers.succeed("list")


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
        assert re.fullmatch(r"Pets answers in [\d.]+ ms\.\n", await servers.succeed("check", "Pets"))
        said = json.loads(await servers.succeed("check", "Pets", "--json"))
        assert said.pop("latency_ms") > 0
        assert said == {"server": "Pets", "error": None}
        shown = await servers.succeed("show", "Pets")
    assert re.search(r"Transport: +openapi", shown)
    assert "Health:" not in shown


async def check_in_the_gateway(modelgate: CommandLine) -> None:
    """Check all servers as a gateway does, which notes what came of it."""
    async with open_components(load_settings(environ=modelgate.environ)) as parts:
        checks = HealthChecks(
            parts.database, parts.servers, parts.pool, parts.sync, parts.settings.upstream, parts.notices
        )
        for server in await parts.servers.list(1):
            status = await parts.pool.check(await parts.servers.spec(1, server.id))
            await checks.record_health(1, server.id, status)


async def test_a_failed_sync_and_health_are_told_apart(modelgate: CommandLine) -> None:
    command = (sys.executable, "-I", "-S", str(RAW), "handshake", "tools-refused")
    await modelgate("servers", "add", "Half", "--", *command)
    assert "Half: failed." in (await modelgate("sync")).out
    assert "when started from this shell" in (await modelgate("servers", "check", "Half")).out
    assert "connected" not in (await modelgate("servers", "list")).out
    await check_in_the_gateway(modelgate)
    shown = (await modelgate("servers", "list")).out
    assert re.search(r"^NAME +TRANSPORT +TOOLS +STATE +LAST SYNC +HEALTH$", shown, re.MULTILINE)
    assert re.search(r"^Half +stdio +0 +failing +never +connected, [0-9.]+ ms$", shown, re.MULTILINE)
    assert re.search(r"Last 24 hours: +reachable in 100.0%", (await modelgate("servers", "show", "Half")).out)
    assert json.loads((await modelgate("servers", "show", "Half", "--json")).out)["restarts"] == 0
    # Where no gateway runs, nobody knows any more.
    await rows(modelgate.environ["MODELGATE_DATABASE_URL"], "UPDATE servers SET checked_at = now() - interval '2 min'")
    assert re.search(r"^Half +stdio +0 +failing +never$", (await modelgate("servers", "list")).out, re.MULTILINE)


async def test_the_list_says_why_a_server_does_not_answer(modelgate: CommandLine, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    await modelgate("servers", "add", "Broken", "--", sys.executable, str(script))
    script.write_text("import sys\nprint('starting', file=sys.stderr)\nsys.exit('TOKEN is not set')\n")
    await check_in_the_gateway(modelgate)
    shown = (await modelgate("servers", "list")).out
    assert "Broken: does not answer: Server Broken exited with code 1: TOKEN is not set" in shown
    assert re.search(r"^Broken +stdio +0 +never synced +never +failing *$", shown, re.MULTILINE)
