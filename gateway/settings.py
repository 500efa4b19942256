"""Settings: `config.toml`, then the environment; the later wins.

An unknown key or a value of the wrong kind stops the start with file, line, key and the nearest known key.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SECRET = {"secret": True}


def _at_least(minimum: float) -> dict[str, Any]:
    return {"minimum": minimum}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the gateway listens and what it accepts."""

    host: str = "127.0.0.1"
    port: int = field(default=8080, metadata={"minimum": 0, "maximum": 65535})
    data_dir: str = "~/.local/share/modelgate"
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = field(default=4 * 1024 * 1024, metadata=_at_least(1024))
    max_sessions: int = field(default=10_000, metadata=_at_least(1))
    max_sessions_per_caller: int = field(default=2_000, metadata=_at_least(1))
    replay_bytes: int = field(default=32 * 1024 * 1024, metadata=_at_least(0))
    session_idle_seconds: float = field(default=1800.0, metadata=_at_least(1))
    encryption_key: str = field(default="", metadata=SECRET)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Which PostgreSQL holds the catalogue; an empty `url` is the embedded one."""

    url: str = field(default="", metadata=SECRET)
    pool_size: int = field(default=8, metadata=_at_least(2))


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """What turns texts into vectors."""

    type: Literal["auto", "ollama", "openai", "builtin"] = "auto"
    base_url: str = "http://localhost:11434"
    model: str = "nomic-embed-text"
    api_key: str = field(default="", metadata=SECRET)
    timeout_seconds: float = field(default=30.0, metadata=_at_least(0.1))
    batch_size: int = field(default=32, metadata=_at_least(1))


@dataclass(frozen=True, slots=True)
class McpSettings:
    """How tools are named to clients, and what is passed on to them.

    `max_result_bytes` is the size of one upstream result as JSON, `question_seconds` the time that a client has to
    answer what an upstream server asks.
    """

    names: Literal["slug", "path"] = "slug"
    max_result_bytes: int = field(default=1024 * 1024, metadata=_at_least(1024))
    question_seconds: float = field(default=300.0, metadata=_at_least(1))


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How results are scored, cut and counted."""

    mode: Literal["hybrid", "cosine"] = "hybrid"
    threshold: float = field(default=0.5, metadata={"minimum": 0.0, "maximum": 1.0})
    max_results: int = field(default=5, metadata={"minimum": 1, "maximum": 50})


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Limits towards upstream servers; a server may have its own.

    Progress of a call starts its timeout anew, up to `max_call_seconds` in all. Every `check_every_seconds` each server
    is asked whether it is there, every `sync_every_seconds` for its tools; 0 is never.
    """

    connect_timeout_seconds: float = field(default=10.0, metadata=_at_least(0.1))
    list_timeout_seconds: float = field(default=30.0, metadata=_at_least(0.1))
    call_timeout_seconds: float = field(default=60.0, metadata=_at_least(0.1))
    max_call_seconds: float = field(default=3600.0, metadata=_at_least(0.1))
    max_calls_in_flight: int = field(default=32, metadata=_at_least(1))
    failures_before_pause: int = field(default=5, metadata=_at_least(1))
    pause_seconds: float = field(default=30.0, metadata=_at_least(0))
    check_every_seconds: float = field(default=30.0, metadata=_at_least(0))
    sync_every_seconds: float = field(default=3600.0, metadata=_at_least(0))
    max_message_bytes: int = field(default=32 * 1024 * 1024, metadata=_at_least(1024))


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """How people who run the gateway are let in, and what they may do through its API."""

    public_url: str = ""
    session_hours: float = field(default=12.0, metadata=_at_least(0.1))
    session_idle_minutes: float = field(default=120.0, metadata=_at_least(1))
    allow_stdio: bool = False
    openid_issuer: str = ""
    openid_client_id: str = ""
    openid_client_secret: str = field(default="", metadata=SECRET)
    openid_scopes: str = "openid profile email"
    openid_claim: str = "groups"
    openid_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What upstream servers may be, and what is done about tools that try to instruct the model.

    `commands` are names or absolute paths; empty: any. `allowed_networks` are addresses and networks in CIDR form that
    are open whatever `private_addresses` says, but never those at which clouds hand out credentials.
    """

    commands: tuple[str, ...] = ()
    https_only: bool = False
    private_addresses: Literal["allow", "loopback", "deny"] = "allow"
    allowed_networks: tuple[str, ...] = ()
    poisoning: Literal["flag", "quarantine", "off"] = "flag"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What the audit log of calls, searches and changes holds, and for how long.

    `redact_pointers` are JSON pointers into the arguments of calls, `*` for any one step; `redact_patterns` regular
    expressions for secrets beside the known kinds.
    """

    fail_closed: bool = False
    retention_days: int = field(default=365, metadata=_at_least(0))
    queue_events: int = field(default=10_000, metadata=_at_least(1))
    queries: Literal["text", "hash"] = "text"
    arguments: bool = True
    argument_bytes: int = field(default=4096, metadata=_at_least(0))
    redact_pointers: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OauthSettings:
    """Access tokens of an OpenID provider at /mcp, beside API keys; an empty `issuer` is none.

    `resource` is the public URL of /mcp, taken from the request where empty. `role_map` maps values of `roles_claim` to
    roles of `tenant`, each entry "group=role"; without a mapping the values are names of roles. `default_roles` are for
    everyone who signs in.
    """

    issuer: str = ""
    audience: tuple[str, ...] = ()
    resource: str = ""
    jwks_url: str = ""
    tenant: str = "default"
    roles_claim: str = "groups"
    role_map: tuple[str, ...] = ()
    default_roles: tuple[str, ...] = ()
    clock_skew_seconds: float = field(default=60.0, metadata={"minimum": 0.0, "maximum": 600.0})
    keys_max_age_seconds: float = field(default=300.0, metadata=_at_least(10))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured, one section a field."""

    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    embedder: EmbedderSettings = field(default_factory=EmbedderSettings)
    mcp: McpSettings = field(default_factory=McpSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    oauth: OauthSettings = field(default_factory=OauthSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)

    @property
    def data_dir(self) -> Path:
        return Path(self.server.data_dir).expanduser().resolve()


# Names that users of earlier gateways of this kind have in their environment.
_ALIASES = {
    "MODELGATE_EMBEDDER_URL": ("embedder", "base_url"),
    "OPENAI_API_KEY": ("embedder", "api_key"),
    "MODELGATE_ENCRYPTION_KEY": ("server", "encryption_key"),
    "MODELGATE_DATA_DIR": ("server", "data_dir"),
    "MODELGATE_DATABASE_URL": ("database", "url"),
}
# Read by the command line itself, not settings.
_NOT_SETTINGS = {"MODELGATE_CONFIG", "MODELGATE_URL", "MODELGATE_API_KEY"}

_SECTIONS: dict[str, type[Any]] = {
    f.name: typing.get_type_hints(Settings)[f.name] for f in dataclasses.fields(Settings)
}


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings in force.

    `path` is the file to read; without it `$MODELGATE_CONFIG`, else `config.toml` in the working directory where there
    is one. Raises SettingsError for a file that is missing or not TOML, an unknown key, or a value that does not fit.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get("MODELGATE_CONFIG"):
        path = Path(environ["MODELGATE_CONFIG"])
    values: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    if path is not None or Path("config.toml").is_file():
        _read_file(path or Path("config.toml"), values, environ)
    _read_environment(values, environ)
    return Settings(**{name: section(**values[name]) for name, section in _SECTIONS.items()})


def shown(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings as plain values by section and key, secrets masked."""
    sections: dict[str, dict[str, Any]] = {}
    for name, section in _SECTIONS.items():
        held = getattr(settings, name)
        sections[name] = {
            f.name: "********" if f.metadata.get("secret") and getattr(held, f.name) else getattr(held, f.name)
            for f in dataclasses.fields(section)
        }
    return sections


def _read_file(path: Path, values: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsError(
            f"The settings file {path} does not exist; create it or name another with --config."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from None
    for section, content in document.items():
        where = f"{path}, line {_line_of(text, None, section)}"
        if section not in _SECTIONS:
            raise SettingsError(f"{where}: unknown section [{section}].{_nearest(section, _SECTIONS)}")
        if not isinstance(content, dict):
            raise SettingsError(f"{where}: {section} has to be a section, written [{section}].")
        for key, raw in content.items():
            where = f"{path}, line {_line_of(text, section, key)}"
            values[section][key] = _value(section, key, _expand(raw, environ, where), where)


def _read_environment(values: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        raw = environ[variable]
        if variable in _NOT_SETTINGS or not (variable.startswith("MODELGATE_") or variable in _ALIASES):
            continue
        if variable in _ALIASES:
            section, key = _ALIASES[variable]
            # A variable of its own, named by the section and key, is the more exact word.
            if f"MODELGATE_{section}_{key}".upper() in environ and not variable.upper().endswith(
                f"{section}_{key}".upper()
            ):
                continue
        else:
            section, _, key = variable.removeprefix("MODELGATE_").lower().partition("_")
        known = {f"MODELGATE_{s}_{f.name}".upper() for s, c in _SECTIONS.items() for f in dataclasses.fields(c)}
        if section not in _SECTIONS or key not in {f.name for f in dataclasses.fields(_SECTIONS[section])}:
            raise SettingsError(f"Environment variable {variable}: unknown setting.{_nearest(variable, known)}")
        values[section][key] = _value(section, key, raw, f"Environment variable {variable}")


def _expand(raw: Any, environ: Mapping[str, str], where: str) -> Any:
    if isinstance(raw, list):
        return [_expand(item, environ, where) for item in raw]
    if not isinstance(raw, str):
        return raw
    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda match: environ.get(match[1], ""), raw)


def _value(section: str, key: str, raw: Any, where: str) -> Any:
    """`raw` as the type of the field, or SettingsError."""
    fields = {f.name: f for f in dataclasses.fields(_SECTIONS[section])}
    if key not in fields:
        raise SettingsError(f"{where}: unknown key {section}.{key}.{_nearest(key, fields)}")
    kind = typing.get_type_hints(_SECTIONS[section])[key]
    metadata: Mapping[str, Any] = fields[key].metadata or types.MappingProxyType({})
    told = "" if metadata.get("secret") else f", not {raw!r}"
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if raw not in choices:
            raise SettingsError(f"{where}: {section}.{key} has to be one of {', '.join(choices)}{told}.")
        return raw
    if typing.get_origin(kind) is tuple:
        items = [item.strip() for item in raw.split(",") if item.strip()] if isinstance(raw, str) else raw
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise SettingsError(f"{where}: {section}.{key} has to be a list of strings{told}.")
        return tuple(items)
    if kind is str:
        if not isinstance(raw, str):
            raise SettingsError(f"{where}: {section}.{key} has to be a string{told}.")
        return raw
    if kind is bool:
        flag = {"true": True, "false": False}.get(raw.lower()) if isinstance(raw, str) else raw
        if not isinstance(flag, bool):
            raise SettingsError(f"{where}: {section}.{key} has to be true or false{told}.")
        return flag
    word = "a whole number" if kind is int else "a number"
    try:
        number = kind(raw) if isinstance(raw, str) else raw
    except ValueError:
        raise SettingsError(f"{where}: {section}.{key} has to be {word}{told}.") from None
    if isinstance(number, bool) or not isinstance(number, (int,) if kind is int else (int, float)):
        raise SettingsError(f"{where}: {section}.{key} has to be {word}{told}.")
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    if number != number or (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        bounds = f"from {minimum} to {maximum}" if maximum is not None else f"of at least {minimum}"
        raise SettingsError(f"{where}: {section}.{key} has to be {word} {bounds}{told}.")
    return kind(number)


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(sorted(known))}."


def _line_of(text: str, section: str | None, key: str) -> int:
    """The line (from 1) on which `key` is set; TOML parsers do not tell."""
    inside: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([A-Za-z0-9_.\"'-]+)\s*\]", line)
        if header:
            inside = header[1].strip("\"'")
            if section is None and inside.split(".")[0] == key:
                return number
            continue
        name = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
        if name and inside == section and name[1].strip("\"'").split(".")[0] == key:
            return number
        if name and section is not None and name[1] == f"{section}.{key}":
            return number
    return 1
