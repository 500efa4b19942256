"""`modelgate servers set` and `show`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components
from gateway.upstream.credentials.credential import Basic
from tests.cli.process import CommandLine

RAW = Path(__file__).parents[2] / "upstream" / "servers" / "raw.py"
SECRET = "s3cret-that-nobody-may-see"


async def test_a_server_is_checked_tuned_shown_and_switched_off(servers: CommandLine) -> None:
    await servers.succeed(
        "add", "Raw", sys.executable, "--env", f"TOKEN={SECRET}", "--", "-I", "-S", str(RAW), "handshake"
    )
    assert re.search(r"Raw answers in [\d.]+ ms", await servers.succeed("check", "Raw"))
    await servers.succeed(
        "set", "Raw", "--call-timeout", "5", "--session", "per_client", "--sync-every", "0", "--disable"
    )
    shown = await servers.succeed("show", "raw")
    assert re.search(r"call_timeout_seconds: +5", shown)
    assert re.search(r"list_timeout_seconds: +30 \(default\)", shown)
    assert re.search(r"Changed tools: +are accepted and flagged", shown)
    assert re.search(r"Session: +per_client", shown)
    assert re.search(r"State: +disabled", shown)
    assert re.search(r"Environment: +TOKEN", shown)
    assert SECRET not in shown
    assert (await servers.fail("set", "Raw", "--max-calls", "0")).startswith("Error: max_calls_in_flight has to be")


async def test_how_a_server_is_reached_is_changed_without_adding_it_again(
    servers: CommandLine, parts: Components
) -> None:
    async def stored(name: str) -> ServerDefinition:
        tenant = await tenant_by_slug(parts.database)
        return await parts.servers.load_definition(tenant.id, (await parts.servers.get_by_name(tenant.id, name)).id)

    await servers.succeed(
        *("add", "Raw", "python3", "--env", f"TOKEN={SECRET}", "--env", "MODE=a", "--prefix", "r", "--", "one")
    )
    await servers.succeed(
        *("set", "Raw", "--command", sys.executable, "--arg=-I", "--arg", str(RAW), "--cwd", "/", "--env", "MODE=b")
    )
    await servers.succeed("set", "Raw", "--rename", "Rawer", "--description", "For tests.")
    server = await stored("Rawer")
    assert (server.command, server.args, server.cwd) == (sys.executable, ("-I", str(RAW)), "/")
    assert (dict(server.env), server.description) == ({"TOKEN": SECRET, "MODE": "b"}, "For tests.")
    assert server.prefix == "r"
    await servers.succeed("set", "Rawer", "--without-env", "TOKEN")
    await servers.succeed(
        *("add", "Web", "https://one.example/mcp", "--header", f"X-Key: {SECRET}", "--bearer", SECRET)
    )
    await servers.succeed(
        *("set", "Web", "--url", "https://one.example/v2", "--header", "X-Team: a", "--basic", "me:secret")
    )
    assert dict((await stored("Rawer")).env) == {"MODE": "b"}
    web = await stored("Web")
    assert web.url == "https://one.example/v2"
    assert dict(web.headers) == {"X-Key": SECRET, "X-Team": "a"}
    assert web.credential == Basic("me", "secret")
    said = await servers.succeed("set", "Web", "--url", "https://two.example/mcp", "--header", "X-Team: b")
    assert "at another origin now" in said
    web = await stored("Web")
    assert (web.url, dict(web.headers), web.credential) == ("https://two.example/mcp", {"X-Team": "b"}, None)
    await servers.succeed("set", "Web", "--url", "https://three.example/mcp", "--basic", "me:secret")
    web = await stored("Web")
    assert (dict(web.headers), web.credential) == ({}, Basic("me", "secret"))


async def test_an_option_that_is_not_for_the_server_is_refused(servers: CommandLine) -> None:
    await servers.succeed("add", "Web", "https://one.example/mcp")
    for wrong in (("--arg", "x"), ("--document", "https://x.example/a.json"), ("--without-header", "X-None")):
        assert (await servers.fail("set", "Web", *wrong)).startswith("Error: ")


async def test_a_secret_is_kept_and_not_shown(servers: CommandLine) -> None:
    await servers.succeed("add", "Locked", "https://locked.example/mcp?key=hidden", "--bearer", SECRET)
    shown = await servers.succeed("show", "Locked")
    assert re.search(r"Credential: +bearer", shown)
    assert SECRET not in shown
    assert "hidden" not in shown
    await servers.succeed("set", "Locked", "--no-credential")
    assert re.search(r"Credential: +none", await servers.succeed("show", "Locked"))
    two = ("--bearer", "x", "--basic", "a:b")
    assert "Give one of --bearer" in await servers.fail("add", "Two", "https://two.example", *two)
