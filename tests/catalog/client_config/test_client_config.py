"""Reading the configuration files of MCP clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.catalog.client_config.client_config import ClientConfig, parse_client_config
from gateway.catalog.client_config.configured_server import ConfiguredServer
from gateway.errors import InvalidInputError

CASES = Path(__file__).parents[2] / "cases"


def read(servers: Any, key: str = "mcpServers", **values: str) -> ClientConfig:
    return parse_client_config(json.dumps({key: servers}), values)


def one(entry: Any, **values: str) -> ConfiguredServer:
    config = read({"a": entry}, **values)
    assert config.problems == ()
    return config.servers[0]


def names(text: str) -> list[str]:
    return [server.definition.name for server in parse_client_config(text, {}).servers]


def test_commands_and_urls_are_read() -> None:
    config = read(
        {
            "files": {"command": "npx", "args": ["-y", "files"], "env": {"A": "1"}, "cwd": "/data"},
            "web": {"url": "https://example.com/mcp", "headers": {"Authorization": "Bearer x"}},
            "typed": {"type": "streamable-http", "url": "https://example.com/mcp"},
            "old": {"type": "sse", "url": "https://example.com/sse"},
        }
    )
    assert config.problems == ()
    files, web, typed, old = (server.definition for server in config.servers)
    assert [each.transport for each in (files, web, typed, old)] == ["stdio", "http", "http", "sse"]
    assert (files.command, files.args, files.env, files.cwd) == ("npx", ("-y", "files"), {"A": "1"}, "/data")
    assert web.headers == {"Authorization": "Bearer x"}
    assert all(server.enabled and server.note is None for server in config.servers)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (5, "bad: a server has to be a JSON object."),
        ({}, "bad: there is neither a command nor a url."),
        ({"command": None, "url": None}, "bad: there is neither a command nor a url."),
        ({"command": ""}, "bad: command is missing or not a string."),
        ({"command": []}, "bad: command is missing or not a string."),
        ({"command": "x", "args": "y"}, "bad: args has to be a list of strings."),
        ({"command": "x", "env": {"A": {}}}, "bad: env has to be an object of strings."),
        ({"url": "u", "headers": []}, "bad: headers has to be an object of strings."),
        ({"url": "u", "type": "telnet"}, "bad: type has to be stdio, http or sse."),
        ({"url": ["u"]}, "bad: url is missing or not a string."),
        ({"url": "https://${HOST}/mcp"}, "bad: the url needs a value for HOST, which there is not."),
        (
            {"command": "${workspaceFolder}/x"},
            "bad: the command needs a value for workspaceFolder, which there is not.",
        ),
    ],
)
def test_a_bad_entry_is_told_and_the_others_are_read(entry: Any, told: str) -> None:
    config = read({"good": {"command": "x"}, "bad": entry})
    assert [server.definition.name for server in config.servers] == ["good"]
    assert config.problems == (told,)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "5",
        "{}",
        '{"mcpServers": {}}',
        '{"mcpServers": []}',
        "[" * 100_000,
        "/*" * 100_000,
        '"\\' * 100_000,
        "," * 100_000,
        'key = "value"',
        "[mcp_servers.a",
    ],
    ids=range(12),
)
def test_a_file_that_is_nothing_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_client_config(text, {})


def test_comments_and_trailing_commas_are_read_over() -> None:
    assert names((CASES / "import-comments.json").read_text()) == ["notes"]
    text = """\ufeff// first
    {"mcpServers": {"a": {"command": "x", "args": ["//no", "/* no */", "a,]", "\\\\", ], /* , */ }, // last
    },}"""
    (server,) = parse_client_config(text, {}).servers
    assert server.definition.args == ("//no", "/* no */", "a,]", "\\")


@pytest.mark.parametrize(
    "document",
    [
        {"mcpServers": {"a": {"command": "x"}}},
        {"servers": {"a": {"type": "stdio", "command": "x"}}, "inputs": []},
        {"theme": "dark", "context_servers": {"a": {"source": "custom", "command": "x"}}},
        {"context_servers": {"a": {"command": {"path": "x", "args": ["y"], "env": {"A": "1"}}}}},
        {"mcp": {"servers": {"a": {"command": "x"}}}},
        {"mcp.servers": {"a": {"command": "x"}}},
        {"mcp": {"a": {"type": "local", "command": ["x", "y"], "environment": {"A": "1"}}}},
        {"a": {"command": "x"}},
    ],
)
def test_servers_are_found_where_each_client_keeps_them(document: Any) -> None:
    (server,) = parse_client_config(json.dumps(document), {}).servers
    assert (server.definition.name, server.definition.command) == ("a", "x")


@pytest.mark.parametrize(
    ("entry", "transport", "url"),
    [
        ({"serverUrl": "https://a/mcp"}, "http", "https://a/mcp"),
        ({"httpUrl": "https://a/mcp", "timeout": None}, "http", "https://a/mcp"),
        ({"type": "streamableHttp", "url": "https://a/mcp"}, "http", "https://a/mcp"),
        ({"type": "streamable_http", "url": "https://a/mcp"}, "http", "https://a/mcp"),
        ({"transport": "streamable-http", "url": "https://a/mcp"}, "http", "https://a/mcp"),
        ({"transport": {"type": "sse", "url": "https://a/sse"}}, "sse", "https://a/sse"),
        ({"transportType": "sse", "url": "https://a/sse"}, "sse", "https://a/sse"),
        ({"type": "remote", "url": "https://a/mcp", "command": None}, "http", "https://a/mcp"),
        ({"type": "http", "url": "https://a/mcp", "command": "x"}, "http", "https://a/mcp"),
    ],
)
def test_a_url_is_read_by_any_of_its_names(entry: Any, transport: str, url: str) -> None:
    definition = one(entry).definition
    assert (definition.transport, definition.url) == (transport, url)


def test_the_toml_of_codex_is_read() -> None:
    text = """
    model = "o9"
    [mcp_servers.docs]
    command = "npx"
    args = ["-y", "docs"]
    env_vars = ["DOCS_TOKEN"]
    tool_timeout_sec = 90
    [mcp_servers.docs.env]
    LEVEL = "1"
    [mcp_servers.web]
    url = "https://web.example/mcp"
    bearer_token_env_var = "WEB_TOKEN"
    env_http_headers = { "X-Team" = "TEAM" }
    http_headers = { "X-Plain" = "p" }
    [mcp_servers.off]
    command = "x"
    enabled = false
    """
    docs, web, off = parse_client_config(text, {"DOCS_TOKEN": "d", "WEB_TOKEN": "w", "TEAM": "t"}).servers
    assert docs.definition.env == {"DOCS_TOKEN": "d", "LEVEL": "1"}
    assert docs.tuning.call_timeout_seconds == 90
    assert web.definition.headers == {"X-Plain": "p", "X-Team": "t", "Authorization": "Bearer w"}
    assert off.enabled is False


def test_nulls_are_left_out_and_numbers_are_text() -> None:
    entry = {"command": "x", "args": ["-p", 8080, None, True, 1.5], "env": {"A": 1, "B": None, "C": False}, "cwd": None}
    definition = one({**entry, "headers": None, "type": None}).definition
    assert definition.args == ("-p", "8080", "true", "1.5")
    assert definition.env == {"A": "1", "C": "false"}
    assert one({"url": "u", "headers": {"X": 5, "Y": None}}).definition.headers == {"X": "5"}


@pytest.mark.parametrize(
    ("said", "enabled"),
    [
        ({"disabled": True}, False),
        ({"disabled": False}, True),
        ({"enabled": False}, False),
        ({"enabled": True}, True),
        ({"enabled": "false"}, False),
        ({"disabled": "true"}, False),
        ({"disabled": None, "enabled": None}, True),
    ],
)
def test_a_server_that_is_not_used_in_the_client_is_not_used_here(said: Any, enabled: bool) -> None:
    server = one({"command": "x", **said})
    assert server.enabled is enabled
    assert server.note == (None if enabled else "a is left disabled, as it is in the file.")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(60, 60), (1800, 1800), (60_000, 60), (5_000, 5), ("30", 30), (0, None), (None, None), (True, None), ("x", None)],
)
def test_a_timeout_is_seconds_or_milliseconds(said: Any, seconds: float | None) -> None:
    assert one({"command": "x", "timeout": said}).tuning.call_timeout_seconds == seconds


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${TOKEN}", "t0ken"),
        ("${env:TOKEN}", "t0ken"),
        ("Bearer ${TOKEN}!", "Bearer t0ken!"),
        ("${TOKEN:-other}", "t0ken"),
        ("${NONE:-other}", "other"),
        ("${env:NONE:-a:-b}", "a:-b"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("$TOKEN $ {TOKEN} 5$", "$TOKEN $ {TOKEN} 5$"),
    ],
)
def test_placeholders_are_filled_from_what_is_known(text: str, filled: str) -> None:
    known = {"TOKEN": "t0ken", "EMPTY": ""}
    server = one({"command": "x", "args": [text], "env": {"A": text}}, **known)
    assert (server.definition.args, server.definition.env, server.enabled) == ((filled,), {"A": filled}, True)
    assert one({"url": "u", "headers": {"A": text}}, **known).definition.headers == {"A": filled}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("${NONE}", "NONE"),
        ("${env:NONE}", "NONE"),
        ("${input:token}", "input:token"),
        ("${workspaceFolder}/a", "workspaceFolder"),
        ("${command:pick}", "command:pick"),
        ("${{ secrets.TOKEN }}", "secrets.TOKEN"),
        ("${}", "${}"),
    ],
)
@pytest.mark.parametrize("entry", [{"command": "x", "args": [0]}, {"command": "x", "env": {"A": 0}}, {"command": "x"}])
def test_what_has_no_value_is_never_passed_on_and_leaves_the_server_disabled(
    text: str, missing: str, entry: dict[str, Any]
) -> None:
    filled = json.loads(json.dumps(entry).replace("0", json.dumps(text)))
    server = one(filled if "args" in entry or "env" in entry else {**entry, "cwd": text})
    assert (server.enabled, server.missing) == (False, (missing,))
    assert f"there is no value for {missing}" in (server.note or "")
    assert "${" not in repr((server.definition.args, server.definition.env, server.definition.cwd))


def test_inputs_are_asked_for_once_with_what_the_file_says_of_them() -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(name: str, declared: Mapping[str, Any]) -> str | None:
        asked.append((name, declared))
        return None if name == "workspaceFolder" else "s3cret"

    token = {"type": "promptString", "id": "token", "description": "Your token", "password": True}
    entries = {
        "a": {"command": "x", "env": {"T": "${input:token}", "U": "${input:token}"}},
        "b": {"url": "https://b/mcp", "headers": {"Authorization": "Bearer ${input:token}"}},
        "c": {"command": "x", "args": ["${workspaceFolder}", "${NONE}"]},
    }
    config = parse_client_config(json.dumps({"inputs": [token, 5], "servers": entries}), {}, ask)
    assert asked == [("input:token", token), ("workspaceFolder", {})]
    a, b, c = config.servers
    assert (a.definition.env, b.definition.headers) == (
        {"T": "s3cret", "U": "s3cret"},
        {"Authorization": "Bearer s3cret"},
    )
    assert c.missing == ("workspaceFolder", "NONE")


def test_a_file_of_variables_that_is_not_at_hand_leaves_the_server_disabled() -> None:
    server = one({"command": "x", "envFile": "${workspaceFolder}/.env"})
    assert (server.enabled, server.missing) == (False, ("envFile",))


def test_a_name_with_slashes_is_shortened_to_its_last_part_unless_that_is_taken() -> None:
    entries = {
        "github.com/a/time": {"command": "x"},
        "b/time": {"command": "x"},
        "time": {"command": "x"},
        "@c/d": {"command": "x"},
    }
    assert [server.definition.name for server in read(entries).servers] == ["github.com-a-time", "b-time", "time", "d"]
    assert names((CASES / "import-mixed.json").read_text()) == ["vars", "off", "old", "windsurf", "time"]
