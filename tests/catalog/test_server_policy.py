"""Servers that the gateway may not start or connect to."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.errors import InvalidInputError, UpstreamUnavailableError
from gateway.settings import GuardSettings, Settings
from tests.support.gateway import LOCAL_MCP
from tests.support.listed import SCRIPT
from tests.upstream.http.test_guarded_backend import leading


async def test_servers_outside_of_the_guards_cannot_be_added(settings: Settings) -> None:
    guards = GuardSettings(commands=("npx",), private_addresses="deny")
    async with open_components(replace(settings, guards=guards)) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        for server in (
            ServerDefinition("One", "stdio", command="bash", args=("-c", "true")),
            ServerDefinition("Two", "http", url="http://127.0.0.1:1/mcp"),
            ServerDefinition("Three", "http", url="http://169.254.169.254/mcp"),
        ):
            with pytest.raises(InvalidInputError, match="may not be"):
                await parts.servers.add(tenant, server)
        await parts.servers.add(tenant, ServerDefinition("Four", "stdio", command="npx"))


async def test_a_server_added_before_the_guards_is_not_started(settings: Settings, tmp_path: Path) -> None:
    new = ServerDefinition("Local", "stdio", command=sys.executable, args=(str(LOCAL_MCP), "--root", str(tmp_path)))
    async with open_components(settings) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        server = await parts.servers.add(tenant, new)
    async with open_components(replace(settings, guards=GuardSettings(commands=("npx",)))) as parts:
        with pytest.raises(UpstreamUnavailableError, match=r"not among guards\.commands"):
            await parts.sync.run(tenant, server)


async def test_a_child_has_the_environment_it_was_given_and_nothing_of_the_gateways(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "s3cret")
    seen = tmp_path / "environment"
    listing = tmp_path / "tools.json"
    listing.write_text('{"tools": []}')
    program = f"import os,runpy,sys; open({str(seen)!r},'w').write(repr(dict(os.environ))); sys.argv=sys.argv[1:]; "
    program += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    new = ServerDefinition(
        "Seen", "stdio", command=sys.executable, args=("-c", program, str(SCRIPT), str(listing)), env={"GIVEN": "yes"}
    )
    async with open_components(settings) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        await parts.sync.run(tenant, await parts.servers.add(tenant, new))
    environment = seen.read_text()
    assert "'GIVEN': 'yes'" in environment
    assert "s3cret" not in environment
    assert "MODELGATE" not in environment


async def test_a_server_whose_name_leads_inside_is_refused_at_its_sync(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_components(replace(settings, guards=GuardSettings(private_addresses="deny"))) as parts:
        tenant = (await tenant_by_slug(parts.database)).id
        server = await parts.servers.add(tenant, ServerDefinition("Docs", "http", url="http://docs.example:9/mcp"))
        leading(monkeypatch, "10.0.0.7")
        with pytest.raises(UpstreamUnavailableError, match="leads to a closed address"):
            await parts.sync.run(tenant, server)
