"""Servers from the `mcpServers` JSON that desktop clients keep."""

from __future__ import annotations

import json
from typing import Any

from gateway.catalog.server_definition import ServerDefinition, TransportKind
from gateway.errors import InvalidInputError

# What clients call the streamable HTTP transport.
_TRANSPORTS: dict[str, TransportKind] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "streamable_http": "http",
    "sse": "sse",
}


def parse_client_config(text: str) -> tuple[list[ServerDefinition], list[str]]:
    """The servers of a configuration file, and a sentence for each that cannot be read, with its name and field.

    A file is `{"mcpServers": {name: {"command": …} or {"url": …}}}`; VS Code's `{"servers": …}` is read as well. Raises
    InvalidInputError for a file that is nothing of the kind.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"This is not valid JSON: {error}.") from None
    servers = document.get("mcpServers", document.get("servers")) if isinstance(document, dict) else None
    if not isinstance(servers, dict) or not servers:
        raise InvalidInputError('There is no "mcpServers" object with at least one server in it.')
    read: list[ServerDefinition] = []
    wrong: list[str] = []
    for name, entry in servers.items():
        try:
            read.append(_read_server(name, entry))
        except InvalidInputError as error:
            wrong.append(error.message)
    return read, wrong


def _read_server(name: str, entry: Any) -> ServerDefinition:
    if not isinstance(entry, dict):
        raise InvalidInputError(f"{name}: a server has to be a JSON object.")
    if "command" not in entry and "url" not in entry:
        raise InvalidInputError(f"{name}: there is neither a command nor a url.")
    default = "stdio" if "command" in entry else "http"
    transport = _TRANSPORTS.get(str(entry.get("type", entry.get("transport", default))))
    if transport is None:
        raise InvalidInputError(f"{name}: type has to be stdio, http or sse.")
    if transport == "stdio":
        return ServerDefinition(
            name=name,
            transport=transport,
            command=_text(name, entry, "command"),
            args=_texts(name, entry, "args"),
            env=_mapping(name, entry, "env"),
            cwd=entry.get("cwd") and _text(name, entry, "cwd"),
        )
    return ServerDefinition(
        name=name, transport=transport, url=_text(name, entry, "url"), headers=_mapping(name, entry, "headers")
    )


def _text(name: str, entry: dict[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{name}: {field} is missing or not a string.")
    return value


def _texts(name: str, entry: dict[str, Any], field: str) -> tuple[str, ...]:
    value = entry.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInputError(f"{name}: {field} has to be a list of strings.")
    return tuple(value)


def _mapping(name: str, entry: dict[str, Any], field: str) -> dict[str, str]:
    value = entry.get(field, {})
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise InvalidInputError(f"{name}: {field} has to be an object of strings.")
    return value
