"""One server of a configuration file, whatever its client calls the parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.catalog.client_config.placeholders import Placeholders
from gateway.catalog.servers.server_definition import ServerDefinition, TransportKind
from gateway.catalog.servers.tuning import Tuning
from gateway.errors import InvalidInputError

# What clients call the transports; all but the letters of a name is left out.
_TRANSPORTS: Mapping[str, TransportKind] = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "https": "http",
    "streamablehttp": "http",
    "streamable": "http",
    "remote": "http",
    "sse": "sse",
}
_URLS = ("url", "serverUrl", "httpUrl", "endpoint")
_MAX_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class ConfiguredServer:
    """A server as a client has it.

    `enabled` is False where the client does not use it, and where `missing` names values that nobody gave: what stands
    for them is left empty.
    """

    definition: ServerDefinition
    enabled: bool
    missing: tuple[str, ...] = ()
    tuning: Tuning = field(default_factory=Tuning)

    @property
    def note(self) -> str | None:
        """Why it is not used from the start, in a sentence; None where it is."""
        if self.missing:
            names = ", ".join(self.missing)
            return (
                f"{self.definition.name} is left disabled: there is no value for {names}; set it there, then enable it."
            )
        return None if self.enabled else f"{self.definition.name} is left disabled, as it is in the file."


def read_server(name: str, entry: Any, placeholders: Placeholders) -> ConfiguredServer:
    """The server of an `entry`, its `placeholders` filled in.

    Raises InvalidInputError with the name and the field that cannot be read.
    """
    if not isinstance(entry, dict):
        raise InvalidInputError(f"{name}: a server has to be a JSON object.")
    entry = _with_flat_keys({key: value for key, value in entry.items() if value is not None})
    url_key = next((key for key in _URLS if key in entry), None)
    if "command" not in entry and url_key is None:
        raise InvalidInputError(f"{name}: there is neither a command nor a url.")
    transport = _transport(name, entry)
    field = "command" if transport == "stdio" else url_key or "url"
    target = placeholders.fill(_text(name, entry, field))
    missing_in_target = placeholders.missing
    if transport == "stdio":
        definition = ServerDefinition(
            name=name,
            transport=transport,
            command=target,
            args=tuple(placeholders.fill(part) for part in _texts(name, entry, "args")),
            env=_filled(placeholders, {**_variables(name, entry), **_mapping(name, entry, "env")}),
            cwd=placeholders.fill(_text(name, entry, "cwd")) if entry.get("cwd") else None,
        )
    else:
        definition = ServerDefinition(
            name=name,
            transport=transport,
            url=target,
            headers=_filled(placeholders, _headers(name, entry)),
        )
    # Told only now, when all is known that is missing.
    if missing_in_target:
        raise InvalidInputError(
            f"{name}: the {field} needs a value for {', '.join(missing_in_target)}, which there is not."
        )
    used = not _flag(entry, "disabled", default=False) and _flag(entry, "enabled", default=True)
    # A file of variables is not at hand where the gateway reads this.
    missing = (*placeholders.missing, *(("envFile",) if "envFile" in entry and transport == "stdio" else ()))
    return ConfiguredServer(definition, used and not missing, missing, Tuning(call_timeout_seconds=_timeout(entry)))


def _with_flat_keys(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with what some clients put a level deeper, or call otherwise."""
    for key in ("command", "transport", "requestInit", "requestOptions"):
        inner = entry.get(key)
        if isinstance(inner, dict):
            rest = {name: value for name, value in entry.items() if name != key}
            # Of a command, its path; of a transport, its type.
            renamed = {"path": "command"} if key == "command" else {}
            inner = {renamed.get(name, name): value for name, value in inner.items() if value is not None}
            entry = {**inner, **rest}
    if isinstance(entry.get("command"), list):
        command = [each for each in entry["command"] if each is not None]
        rest_args = entry["args"] if isinstance(entry.get("args"), list) else []
        entry = {**entry, "command": command[0] if command else "", "args": [*command[1:], *rest_args]}
    for other, usual in (
        ("environment", "env"),
        ("working_directory", "cwd"),
        ("workingDirectory", "cwd"),
        ("http_headers", "headers"),
        ("transportType", "type"),
        ("cmd", "command"),
        ("envs", "env"),
        ("uri", "url"),
    ):
        if other in entry and usual not in entry:
            entry = {**entry, usual: entry[other]}
    return entry


def _transport(name: str, entry: Mapping[str, Any]) -> TransportKind:
    said = entry.get("type", entry.get("transport"))
    if said is None or str(said) == "custom":
        return "stdio" if "command" in entry else "http"
    transport = _TRANSPORTS.get("".join(letter for letter in str(said).lower() if letter.isalpha()))
    if transport is None:
        raise InvalidInputError(f"{name}: type has to be stdio, http or sse.")
    return transport


def _variables(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Variables of the environment that are handed on under their own names."""
    return {variable: f"${{{variable}}}" for variable in _texts(name, entry, "env_vars")}


def _headers(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    """Headers, those that come from variables of the environment among them."""
    headers = _mapping(name, entry, "headers")
    for header, variable in _mapping(name, entry, "env_http_headers").items():
        headers[header] = f"${{{variable}}}"
    if entry.get("bearer_token_env_var"):
        headers["Authorization"] = f"Bearer ${{{_text(name, entry, 'bearer_token_env_var')}}}"
    return headers


def _filled(placeholders: Placeholders, texts: Mapping[str, str]) -> dict[str, str]:
    return {key: placeholders.fill(value) for key, value in texts.items()}


def _timeout(entry: Mapping[str, Any]) -> float | None:
    """How long a call may take, in seconds: some clients say it in seconds, some in milliseconds."""
    value = entry.get("tool_timeout_sec", entry.get("timeout"))
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        seconds = 0.0
    # Nobody waits for hours, and nobody says seconds in round thousands.
    if "tool_timeout_sec" not in entry and (seconds > _MAX_SECONDS or (seconds >= 1_000 and seconds % 1_000 == 0)):
        seconds /= 1_000
    return seconds if 0.1 <= seconds <= 24 * _MAX_SECONDS else None


def _flag(entry: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = entry.get(key, default)
    return value.strip().lower() in ("true", "1", "yes") if isinstance(value, str) else bool(value)


def _text(name: str, entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{name}: {field} is missing or not a string.")
    return value


def _texts(name: str, entry: Mapping[str, Any], field: str) -> list[str]:
    value = entry.get(field, [])
    if not isinstance(value, list) or not all(_is_plain(item) for item in value):
        raise InvalidInputError(f"{name}: {field} has to be a list of strings.")
    return [_plain_text(item) for item in value if item is not None]


def _mapping(name: str, entry: Mapping[str, Any], field: str) -> dict[str, str]:
    value = entry.get(field, {})
    if not isinstance(value, dict) or not all(_is_plain(item) for item in value.values()):
        raise InvalidInputError(f"{name}: {field} has to be an object of strings.")
    return {key: _plain_text(item) for key, item in value.items() if item is not None}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _plain_text(value: object) -> str:
    """Text as it is; numbers and truth as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
