"""Reading the configuration files of desktop clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.catalog.client_config import parse_client_config
from gateway.errors import InvalidInputError


def read(servers: Any, key: str = "mcpServers") -> Any:
    return parse_client_config(json.dumps({key: servers}))


def test_commands_and_urls_are_read() -> None:
    servers, wrong = read(
        {
            "files": {"command": "npx", "args": ["-y", "files"], "env": {"A": "1"}, "cwd": "/data"},
            "web": {"url": "https://example.com/mcp", "headers": {"Authorization": "Bearer x"}},
            "typed": {"type": "streamable-http", "url": "https://example.com/mcp"},
            "old": {"type": "sse", "url": "https://example.com/sse"},
        }
    )
    assert wrong == []
    assert [server.transport for server in servers] == ["stdio", "http", "http", "sse"]
    assert (servers[0].command, servers[0].args, servers[0].env) == ("npx", ("-y", "files"), {"A": "1"})
    assert servers[0].cwd == "/data"
    assert servers[1].headers == {"Authorization": "Bearer x"}


def test_the_form_of_vs_code_is_read() -> None:
    servers, _ = read({"a": {"type": "stdio", "command": "x"}}, key="servers")
    assert servers[0].command == "x"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (5, "bad: a server has to be a JSON object."),
        ({}, "bad: there is neither a command nor a url."),
        ({"command": ""}, "bad: command is missing or not a string."),
        ({"command": "x", "args": "y"}, "bad: args has to be a list of strings."),
        ({"command": "x", "env": {"A": 1}}, "bad: env has to be an object of strings."),
        ({"url": "u", "headers": []}, "bad: headers has to be an object of strings."),
        ({"url": "u", "type": "telnet"}, "bad: type has to be stdio, http or sse."),
        ({"url": ["u"]}, "bad: url is missing or not a string."),
    ],
)
def test_a_bad_entry_is_told_and_the_others_are_read(entry: Any, told: str) -> None:
    servers, wrong = read({"good": {"command": "x"}, "bad": entry})
    assert [server.name for server in servers] == ["good"]
    assert wrong == [told]


@pytest.mark.parametrize("text", ["{", "[]", "5", "{}", '{"mcpServers": {}}', '{"mcpServers": []}', "[" * 100_000])
def test_a_file_that_is_nothing_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_client_config(text)
