"""A configuration file as the servers in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.catalog.client_config.config_text import parse_config_text
from gateway.catalog.client_config.configured_server import ConfiguredServer, read_server
from gateway.catalog.client_config.placeholders import Placeholders, is_variable
from gateway.errors import InvalidInputError

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class MissingValue:
    """What a file leaves open and nobody gave a value for; `is_secret` where it may be one, or says so."""

    name: str
    description: str
    is_secret: bool


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The servers of a file, and a sentence for each that cannot be read, with its name and field.

    `missing` are the values that any of them lacks, each once.
    """

    servers: tuple[ConfiguredServer, ...]
    problems: tuple[str, ...]
    missing: tuple[MissingValue, ...] = ()


def _ask_nobody(_name: str, _declared: Mapping[str, Any]) -> None:
    """Without somebody to ask there is no answer."""


def parse_client_config(
    text: str,
    values: Mapping[str, str],
    ask: Callable[[str, Mapping[str, Any]], str | None] = _ask_nobody,
) -> ClientConfig:
    """The servers of a configuration file as MCP clients keep them: `{"mcpServers": {name: …}}` and its kin.

    `values` stand for what the file leaves open, by name: variables of the environment, `input:ID`, `workspaceFolder`.
    What is not a variable and has no value there is asked for by its name, with what the file says of it under
    `inputs`. Raises InvalidInputError for a file that is nothing of the kind.
    """
    config = parse_config_text(text)
    known = dict(values)
    names = _server_names(config.servers)
    servers: list[ConfiguredServer] = []
    problems: list[str] = []
    missing: dict[str, None] = {}
    for key, entry in config.servers.items():
        placeholders = Placeholders(known, lambda name: ask(name, config.inputs.get(name.removeprefix("input:"), {})))
        try:
            servers.append(read_server(names[key], entry, placeholders))
        except InvalidInputError as error:
            problems.append(error.message)
        missing.update(dict.fromkeys(placeholders.missing))
    return ClientConfig(tuple(servers), tuple(problems), tuple(_missing_value(name, config.inputs) for name in missing))


def _missing_value(name: str, inputs: Mapping[str, Mapping[str, Any]]) -> MissingValue:
    declared = inputs.get(name.removeprefix("input:"), {}) if name.startswith("input:") else None
    if declared is None:
        # Of a variable nobody says what it holds; what editors fill in is a place.
        return MissingValue(name, "", is_secret=is_variable(name))
    description = declared.get("description")
    return MissingValue(
        name, description if isinstance(description, str) else "", is_secret=declared.get("password") is True
    )


def _server_names(entries: Mapping[str, Any]) -> dict[str, str]:
    """A name for each key, in which no slash may be: the last part of an address, unless that is taken."""
    names = {key: key for key in entries if "/" not in key}
    for key in entries:
        if key not in names:
            last = key.rstrip("/").rpartition("/")[2]
            whole = key.replace("/", "-")[-_NAME_LENGTH:]
            names[key] = last if last and last not in names.values() else whole
    return names
