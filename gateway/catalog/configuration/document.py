"""The document: what may stand in it, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from gateway.access.caller import ListMode
from gateway.access.roles import RoleApproval, Visibility
from gateway.access.rules import RuleApproval
from gateway.catalog.servers.server_definition import TransportKind
from gateway.errors import InvalidInputError

FORMAT_VERSION: Literal[1] = 1

_MAX_CHARACTERS = 4 * 1024 * 1024
_MAX_ITEMS = 10_000
_FORBID_EXTRA = ConfigDict(extra="forbid")

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Text = Annotated[str, Field(max_length=8_000)]
_Description = Annotated[str, Field(max_length=2_000)]
_Seconds = Annotated[float, Field(ge=0, le=31_622_400, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class LimitsEntry:
    """How a server is used, where that differs from the gateway's settings; as `modelgate servers set` says."""

    connect_timeout_seconds: _Seconds | None = None
    start_timeout_seconds: _Seconds | None = None
    list_timeout_seconds: _Seconds | None = None
    call_timeout_seconds: _Seconds | None = None
    max_calls_in_flight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    session: Literal["shared", "per_client"] = "shared"
    idle_stop_seconds: _Seconds = 0.0
    sync_every_seconds: _Seconds | None = None

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """A server. In place of a secret stands `${NAME}`; what is left out is as it is by default.

    `personal` says how each person is let in, {"kind": "none"} that all share `credential`; left out, it stays as it
    is.
    """

    name: _Name
    transport: TransportKind
    enabled: bool = True
    description: _Description = ""
    command: _Text | None = None
    args: tuple[_Text, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: _Text | None = None
    url: _Text | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str | None = None
    credential: Mapping[str, str] | None = None
    certificate: Mapping[str, str] | None = None
    document: str | None = None
    document_url: _Text | None = None
    personal: Mapping[str, Any] | None = None
    limits: LimitsEntry = field(default_factory=LimitsEntry)

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """What is seen of one of these, and whether calls of it wait; a tool is called `Server name/tool`."""

    visibility: Visibility
    tool: _Text | None = None
    pattern: _Text | None = None
    server: _Name | None = None
    category: _Text | None = None
    approve: RuleApproval = "inherit"

    __pydantic_config__ = _FORBID_EXTRA

    @property
    def about(self) -> str:
        """The target in words."""
        return next(
            f"{name} {value}" for name in ("tool", "pattern", "server", "category") if (value := getattr(self, name))
        )


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """A role with its rules; calls of tools wait as `approve` says where no rule says otherwise."""

    name: _Name
    description: _Description = ""
    default: Visibility = "DENY"
    approve: RoleApproval = "none"
    rules: Annotated[tuple[RuleEntry, ...], Field(max_length=_MAX_ITEMS)] = ()

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile with the rules that select its tools."""

    name: _Name
    description: _Description = ""
    list: ListMode = "search"
    rules: Annotated[tuple[RuleEntry, ...], Field(max_length=_MAX_ITEMS)] = ()

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class GuardEntry:
    """A guard, by the names of its role and server; without `stages` it is at all that its kind knows. What a webhook's
    requests are signed with is its `secret`.
    """

    name: _Name
    guard: _Name
    action: _Name
    stages: tuple[_Name, ...] | None = None
    subjects: tuple[_Name, ...] = ("tools",)
    position: int = 100
    role: _Name | None = None
    server: _Name | None = None
    pattern: _Text | None = None
    category: _Name | None = None
    fail: _Name = "closed"
    budget_ms: int = 300
    enabled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: _Text | None = None

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class OverrideEntry:
    """What is said of a tool in place of what its server says, at a profile or, without one, everywhere."""

    tool: _Text
    profile: _Name | None = None
    name: _Text | None = None
    title: _Text | None = None
    description: _Text | None = None
    category: _Text | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__ = _FORBID_EXTRA

    @property
    def about(self) -> str:
        """The tool, and where it holds, in words."""
        return self.tool if self.profile is None else f"{self.tool} at {self.profile}"


@dataclass(frozen=True, slots=True)
class ExampleEntry:
    """What people ask for when they mean a tool, as admins have said."""

    tool: _Text
    texts: Annotated[tuple[_Text, ...], Field(max_length=50)] = ()

    __pydantic_config__ = _FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class Configuration:
    """The document. A section that is None is not in it, and nothing of its kind is touched."""

    modelgate: Literal[1]
    servers: Annotated[tuple[ServerEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None
    roles: Annotated[tuple[RoleEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None
    profiles: Annotated[tuple[ProfileEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None
    guards: Annotated[tuple[GuardEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None
    overrides: Annotated[tuple[OverrideEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None
    disabled_tools: Annotated[tuple[_Text, ...], Field(max_length=_MAX_ITEMS)] | None = None
    examples: Annotated[tuple[ExampleEntry, ...], Field(max_length=_MAX_ITEMS)] | None = None

    __pydantic_config__ = _FORBID_EXTRA


_SENTENCES = {
    "extra_forbidden": "it is not known here",
    "unexpected_keyword_argument": "it is not known here",
    "missing": "it is missing",
    "missing_argument": "it is missing",
}

_ADAPTER = TypeAdapter(Configuration)


def parse_configuration(text: str) -> Configuration:
    """Raises InvalidInputError, which names the place, for a text that is no such document."""
    if len(text) > _MAX_CHARACTERS:
        raise InvalidInputError(f"The configuration is longer than the {_MAX_CHARACTERS} characters it may have.")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(text, Loader=loader)  # noqa: S506  # nosec
        configuration = _ADAPTER.validate_python(document)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInputError(f"The configuration is not valid YAML: {' '.join(str(error).split())[:200]}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the document"
        said = _SENTENCES.get(first["type"], first["msg"])
        raise InvalidInputError(f"The configuration cannot be read at {place[:200]}: {said}.") from None
    _check(configuration)
    return configuration


def format_configuration(configuration: Configuration) -> str:
    """The document as text, without what is as by default."""
    values: dict[str, Any] = {"modelgate": FORMAT_VERSION}
    for section in ("servers", "roles", "profiles", "guards", "overrides"):
        values[section] = [_without_defaults(entry) for entry in getattr(configuration, section) or ()]
    values["disabled_tools"] = list(configuration.disabled_tools or ())
    values["examples"] = [_without_defaults(entry) for entry in configuration.examples or ()]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def _without_defaults(entry: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in asdict(entry).items():
        declared = type(entry).__dataclass_fields__[name]
        factory: Any = declared.default_factory
        default = declared.default if declared.default is not _MISSING else None if factory is _MISSING else factory()
        current = getattr(entry, name)
        if current == default:
            continue
        if isinstance(current, LimitsEntry):
            values[name] = _without_defaults(current)
        elif isinstance(current, tuple):
            values[name] = [each if isinstance(each, str) else _without_defaults(each) for each in current]
        else:
            values[name] = value
    return values


_MISSING = RuleEntry.__dataclass_fields__["visibility"].default


def _check(configuration: Configuration) -> None:
    for section in ("servers", "roles", "profiles", "guards"):
        names = [entry.name for entry in getattr(configuration, section) or ()]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise InvalidInputError(f"The configuration names {twice!r} twice under {section}.")
    owners: list[RoleEntry | ProfileEntry] = [*(configuration.roles or ()), *(configuration.profiles or ())]
    for owner in owners:
        for rule in owner.rules:
            given = [rule.tool, rule.pattern, rule.server, rule.category]
            if sum(each is not None for each in given) != 1:
                raise InvalidInputError(
                    f"A rule of {owner.name!r} has to be about exactly one of tool, pattern, server and category."
                )
