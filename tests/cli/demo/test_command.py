"""What `modelgate demo` makes ready: its servers in the catalogue, and a key that opens the gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.demo import command
from gateway.cli.demo.listing import DemoServer
from gateway.cli.demo.servers import install_demo
from tests.support.gateway import RunningGateway
from tests.support.rows import value


@pytest.fixture(autouse=True)
def only_local_mcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo without those of its servers that come from a package registry."""
    listing = tmp_path / "servers.toml"
    listing.write_text("server = []", encoding="utf-8")

    async def install(directory: Path, report: Callable[[str], None]) -> list[DemoServer]:
        return await install_demo(directory, report, listing)

    monkeypatch.setattr(command, "install_demo", install)


async def test_its_servers_are_synced_once_and_their_tools_are_found_with_its_key(gateway: RunningGateway) -> None:
    parts = gateway.parts
    await command._add_demo_servers(parts)
    key = await command._read_or_create_key(parts)
    told = command._format_instructions(gateway.url, key, gateway.url)
    assert f"curl -s {gateway.mcp} -H 'Authorization: Bearer {key}'" in told
    asked = told.partition(" -d '")[2].partition("'\n")[0].encode()
    answer = await gateway.post(asked, **{"X-API-Key": key})
    assert "local_mcp__calculator" in answer.text
    synced_at = (await parts.servers.list(1))[0].synced_at
    await command._add_demo_servers(parts)
    assert [(server.name, server.synced_at) for server in await parts.servers.list(1)] == [("Local MCP", synced_at)]


async def test_its_key_is_the_same_at_every_start_until_it_opens_nothing_any_more(gateway: RunningGateway) -> None:
    parts = gateway.parts
    folder = parts.settings.data_dir / "demo"
    folder.mkdir(parents=True)
    first = await command._read_or_create_key(parts)
    assert [(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()] == [("key", 0o600)]
    assert await command._read_or_create_key(parts) == first
    await parts.keys.revoke(1, await value(parts.database.url, "SELECT id FROM api_keys WHERE name = 'demo'"))
    second = await command._read_or_create_key(parts)
    assert second != first
    assert (folder / "key").read_text(encoding="utf-8").strip() == second
    # As a start leaves it that was cut off while it wrote.
    (folder / "key").write_text("", encoding="utf-8")
    assert (await parts.keys.authenticate(await command._read_or_create_key(parts))).key_name == "demo"
