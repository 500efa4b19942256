"""`modelgate servers search` and `add-from-registry`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.cli.process import CommandLine
from tests.doubles.registry import RegistryDouble
from tests.support.serving import serving


@pytest.fixture
async def servers(modelgate: CommandLine) -> AsyncIterator[CommandLine]:
    """Runs `modelgate servers` with a registry."""
    async with serving(RegistryDouble().app()) as url:
        environ = {**modelgate.environ, "MODELGATE_REGISTRY_URL": url}
        yield replace(modelgate, environ=environ, group=("servers",))


async def test_servers_are_searched_and_added_disabled(servers: CommandLine) -> None:
    found = await servers.succeed("search", "notes")
    assert "io.github.acme/notes  1.2.3    Keeps notes" in found
    (entry,) = json.loads(await servers.succeed("search", "notes", "--json"))
    assert (entry["name"], entry["version"]) == ("io.github.acme/notes", "1.2.3")
    assert "no server of such a name" in await servers.succeed("search", "nothing")
    added = await servers.succeed("add-from-registry", "io.github.acme/notes", "--value", "NOTES_TOKEN=s3cret")
    assert "notes is added, disabled; it is npx -y --quiet @acme/notes@1.2.3" in added
    assert "NOTES_TOKEN (secret): Your token" in added
    assert "There is no value yet for home, folder" in added
    assert "s3cret" not in added
    shown = await servers.succeed("show", "notes")
    assert "disabled" in shown
    assert "s3cret" not in shown
    again = await servers.fail("add-from-registry", "io.github.acme/notes")
    assert "There is a server named 'notes' already" in again


async def test_what_the_registry_has_not_is_told(servers: CommandLine) -> None:
    assert "has no such server or version" in await servers.fail("add-from-registry", "a/b")
    assert "write NAME=VALUE" in (await servers("add-from-registry", "a/b", "--value", "x")).err
