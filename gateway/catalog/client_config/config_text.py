"""The text of a configuration file: JSON, with the comments and trailing commas that editors allow, TOML, or YAML."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gateway.errors import InvalidInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Where clients keep their servers, as steps into the document; a key may itself hold a dot.
_PLACES = (
    ("mcpServers",),
    ("servers",),
    ("context_servers",),
    ("mcp_servers",),
    ("mcp.servers",),
    ("mcp", "servers"),
    ("mcp", "mcpServers"),
    ("amp.mcpServers",),
    ("mcp",),
)

# Reading YAML takes a second for a few of these.
_MAX_YAML_CHARACTERS = 200_000

# A string that does not end goes to the end of the text, and so does a comment: each character is read once.
_STRING = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_COMMENTS = re.compile(_STRING + r"|//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING_COMMAS = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ConfigText:
    """The entries of a file by name, and what it asks the user for, by id (VS Code's `inputs`)."""

    servers: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]


def parse_config_text(text: str) -> ConfigText:
    """What a file holds. Raises InvalidInputError for one that is nothing of the kind."""
    document = parse_document(text)
    servers = _find_servers(document) if isinstance(document, dict) else None
    if servers is None:
        raise InvalidInputError('There is no "mcpServers" object with at least one server in it.')
    declared = document.get("inputs")
    inputs = {
        entry["id"]: entry
        for entry in (declared if isinstance(declared, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
    return ConfigText(servers, inputs)


def parse_document(text: str) -> Any:
    """What a file holds as plain values. Raises InvalidInputError for what is neither JSON, TOML nor a YAML mapping."""
    text = text.lstrip("\ufeff")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        bare = _COMMENTS.sub(lambda match: match[0] if match[0][0] == '"' else " ", text)
        bare = _TRAILING_COMMAS.sub(lambda match: match[0] if match[0][0] == '"' else "", bare)
    try:
        return json.loads(bare)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if isinstance(of_yaml := _parse_yaml(text), dict):
            return of_yaml
        of_toml = re.match(r"\s*(?:#|\[+\s*\"?[A-Za-z]|[A-Za-z_-]+\s*=)", text) is not None
        raise InvalidInputError(
            f"This is not valid TOML: {error}." if of_toml else f"This is not valid JSON: {reason}."
        ) from None


def _parse_yaml(text: str) -> Any:
    # What begins as JSON is a JSON file with a flaw, which is to be told of as such.
    if len(text) > _MAX_YAML_CHARACTERS or text.lstrip().startswith(("{", "[")):
        return None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _find_servers(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for place in _PLACES:
        value: Any = document
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, dict) and value:
            return value
    extensions = document.get("extensions")
    if isinstance(extensions, dict):
        # Goose keeps its own extensions beside the servers.
        return {
            name: value for name, value in extensions.items() if isinstance(value, dict) and _is_entry(value)
        } or None
    # Some files are the entries alone.
    entries = [value for value in document.values() if isinstance(value, dict)]
    if entries and len(entries) == len(document) and all(_is_entry(entry) for entry in entries):
        return document
    return None


def _is_entry(value: Mapping[str, Any]) -> bool:
    return any(isinstance(value.get(key), str) for key in ("command", "cmd", "url", "uri", "serverUrl", "httpUrl"))
