"""`modelgate servers login`: OAuth, signed in to in a browser."""

from __future__ import annotations

import re
import sys

import anyio
import httpx2

from tests.cli.process import CommandLine
from tests.doubles.oauth_server import OAuthServer


async def test_somebody_signs_in_at_a_terminal(servers: CommandLine) -> None:
    async with OAuthServer().running() as server:
        await servers.succeed("add", "Vault", f"{server.url}/mcp", "--sign-in")
        command = [sys.executable, "-m", "gateway", "servers", "login", "Vault"]
        async with await anyio.open_process(command, env={**servers.environ, "PYTHONUNBUFFERED": "1"}) as process:
            assert process.stdout is not None
            output = b""
            while b"\n\n" not in output.partition(b"http")[2]:
                output += await process.stdout.receive()
            address = re.search(rb"https?://\S+", output)
            assert address is not None
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                assert "close this page" in (await browser.get(address[0].decode())).text
            assert await process.wait() == 0
        assert "Vault answers in" in await servers.succeed("check", "Vault")
