"""Entries of a registry as servers to add."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.catalog.registry.registry import RegistryEntry
from gateway.catalog.registry.server_json import propose_server
from gateway.errors import InvalidInputError
from tests.doubles.registry import PACKAGE, package


def listed(document: dict[str, Any]) -> RegistryEntry:
    return RegistryEntry(document["name"], document.get("version", ""), document.get("description", ""), document)


def test_a_package_is_started_by_its_runner_with_what_it_asks_for() -> None:
    given = {"folder": "/data", "NOTES_TOKEN": "s3cret", "home": "/home/ada"}
    proposal = propose_server(listed(PACKAGE), given)
    definition = proposal.definition
    assert (definition.name, definition.transport, definition.command) == ("notes", "stdio", "npx")
    assert definition.args == ("-y", "--quiet", "@acme/notes@1.2.3", "/data", "--level", "info")
    assert definition.env == {"NOTES_TOKEN": "s3cret", "NOTES_MODE": "fast", "NOTES_HOME": "/home/ada/notes"}
    assert proposal.missing == ()
    assert [value.name for value in proposal.declared if value.is_secret] == ["NOTES_TOKEN"]


def test_what_is_required_and_not_given_is_named_and_left_empty() -> None:
    proposal = propose_server(listed(PACKAGE), {})
    assert [value.name for value in proposal.missing] == ["NOTES_TOKEN", "home", "folder"]
    assert proposal.definition.env["NOTES_TOKEN"] == ""
    assert "{" not in repr((proposal.definition.env, proposal.definition.args)).replace("{'", "")


@pytest.mark.parametrize(
    ("kind", "identifier", "command", "args"),
    [
        ("npm", "acme", "npx", ("-y", "acme@2.0")),
        ("pypi", "acme-time", "uvx", ("acme-time@2.0",)),
        ("oci", "docker.io/acme/db", "docker", ("run", "-i", "--rm", "docker.io/acme/db:2.0")),
        ("oci", "acme/db:1", "docker", ("run", "-i", "--rm", "acme/db:1")),
    ],
)
def test_each_kind_of_package_has_its_runner(kind: str, identifier: str, command: str, args: tuple[str, ...]) -> None:
    definition = propose_server(listed(package(kind, identifier)), {}).definition
    assert (definition.command, definition.args) == (command, args)


def test_variables_are_handed_into_a_container() -> None:
    document = package("oci", "acme/db")
    document["packages"][0]["environmentVariables"] = [{"name": "DB_URL", "isRequired": True}]
    definition = propose_server(listed(document), {"DB_URL": "x"}).definition
    assert definition.args == ("run", "-i", "--rm", "-e", "DB_URL", "acme/db:2.0")
    assert definition.env == {"DB_URL": "x"}


def test_a_remote_server_is_reached_with_the_headers_that_it_wants() -> None:
    definition = propose_server(listed(PACKAGE), {"token": "t0ken", "region": "us"}, remote=True).definition
    assert (definition.transport, definition.url) == ("http", "https://us.notes.example/mcp")
    assert definition.headers == {"Authorization": "Bearer t0ken"}
    without = propose_server(listed(PACKAGE), {}, remote=True)
    assert without.definition.url == "https://eu.notes.example/mcp"
    assert [(value.name, value.is_secret) for value in without.missing] == [("token", True)]
    only = {"name": "a/b", "remotes": [{"type": "sse", "url": "https://b.example/sse"}]}
    assert propose_server(listed(only), {}).definition.transport == "sse"


@pytest.mark.parametrize(
    "document",
    [
        {"name": "a/b"},
        {"name": "a/b", "packages": 5, "remotes": None},
        {"name": "a/b", "packages": [{"registryType": "nuget", "identifier": "x"}]},
        {"name": "a/b", "packages": [{"registryType": "npm", "identifier": "x", "transport": {"type": "sse"}}]},
        {"name": "a/b", "packages": [{"registryType": "npm", "identifier": "--config=/etc/passwd"}]},
        {"name": "a/b", "packages": [{"registryType": "pypi", "identifier": "x y; rm"}]},
        {"name": "a/b", "remotes": [{"type": "telnet", "url": "x"}]},
    ],
)
def test_what_cannot_be_added_is_told(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="a/b"):
        propose_server(listed(document), {})
