"""A server.json as a server to add: a package that a runner starts, or a remote server.

https://github.com/modelcontextprotocol/registry/blob/main/docs/reference/server-json/generic-server-json.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.catalog.registry.registry import RegistryEntry
from gateway.catalog.servers.server_definition import ServerDefinition, TransportKind
from gateway.errors import InvalidInputError

_REMOTES: Mapping[str, TransportKind] = {"streamable-http": "http", "http": "http", "sse": "sse"}
_VARIABLE = re.compile(r"\{([A-Za-z0-9_.-]{1,100})\}")
_NAME_LENGTH = 100
_DESCRIPTION_LENGTH = 2_000
# A package's name is handed to a runner, which would take one that begins with a dash for an option.
_IDENTIFIER = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@._/:+-]{0,300}")


RunBy = Literal["package", "remote"]
"""Who runs a server: the gateway, as a package that a runner starts, or its makers, at an address."""


@dataclass(frozen=True, slots=True)
class DeclaredValue:
    """What a server asks for: a variable of the environment, a header, an argument or a part of one.

    Without a value `default` is taken, where it is not empty; `choices` are all that it may be, where there are any.
    """

    name: str
    description: str
    is_secret: bool
    is_required: bool
    default: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerProposal:
    """A server as it would be added; of what it asks for, `missing` is required and not given: it is left empty."""

    definition: ServerDefinition
    declared: tuple[DeclaredValue, ...]
    missing: tuple[DeclaredValue, ...]


def propose_server(listed: RegistryEntry, values: Mapping[str, str], *, remote: bool = False) -> ServerProposal:
    """The first package that npx, uvx or docker starts, else the first remote server; `remote` prefers that.

    `values` are by name. Raises InvalidInputError where there is neither.
    """
    packages, remotes = _packages(listed), _remotes(listed)
    reader = _Reader(values)
    if remotes and (remote or not packages):
        definition = reader.read_remote(listed, remotes[0])
    elif packages:
        definition = reader.read_package(listed, packages[0])
    else:
        raise InvalidInputError(
            f"{listed.name} is neither a package that npx, uvx or docker starts, nor a remote server."
        )
    return ServerProposal(definition, tuple(reader.declared), tuple(reader.missing))


def list_run_by(listed: RegistryEntry) -> tuple[RunBy, ...]:
    """Who can run a server, in the order in which `propose_server` prefers them."""
    return (*(("package",) if _packages(listed) else ()), *(("remote",) if _remotes(listed) else ()))


class _Reader:
    """Fills in what one server asks for, and remembers what that was."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.declared: list[DeclaredValue] = []
        self.missing: list[DeclaredValue] = []

    def read_remote(self, listed: RegistryEntry, remote: Mapping[str, Any]) -> ServerDefinition:
        """The server at the address of `remote`."""
        headers = {
            name: value
            for header in _objects(remote, "headers")
            if (name := _text(header, "name")) and (value := self._value(name, header)) is not None
        }
        url = self._filled(_text(remote, "url"), remote.get("variables"))
        return ServerDefinition(
            _short_name(listed.name),
            _REMOTES[str(remote.get("type"))],
            url=url,
            headers=headers,
            description=listed.description[:_DESCRIPTION_LENGTH],
        )

    def read_package(self, listed: RegistryEntry, package: Mapping[str, Any]) -> ServerDefinition:
        """The server that a runner starts from `package`."""
        env = {
            name: value
            for variable in _objects(package, "environmentVariables")
            if (name := _text(variable, "name")) and (value := self._value(name, variable)) is not None
        }
        runner = _runner(package)
        before = self._arguments(package, "runtimeArguments")
        after = self._arguments(package, "packageArguments")
        identifier, version = _text(package, "identifier"), _text(package, "version")
        if not _IDENTIFIER.fullmatch(identifier) or (version and not _IDENTIFIER.fullmatch(version)):
            raise InvalidInputError(f"{listed.name} names a package that cannot be: {identifier[:100]!r}.")
        if runner == "docker":
            tagged = identifier if not version or ":" in identifier.rpartition("/")[2] else f"{identifier}:{version}"
            handed = [part for name in env for part in ("-e", name)]
            args = ["run", "-i", "--rm", *handed, *before, tagged, *after]
        else:
            pinned = f"{identifier}@{version}" if version else identifier
            args = [*(["-y"] if runner == "npx" and "-y" not in before else []), *before, pinned, *after]
        return ServerDefinition(
            _short_name(listed.name),
            "stdio",
            command=runner,
            args=tuple(args),
            env=env,
            description=listed.description[:_DESCRIPTION_LENGTH],
        )

    def _arguments(self, package: Mapping[str, Any], key: str) -> list[str]:
        arguments: list[str] = []
        for argument in _objects(package, key):
            name = _text(argument, "name")
            value = self._value(name or _text(argument, "valueHint") or "argument", argument)
            if value is None:
                continue
            arguments += [name] if argument.get("type") == "named" and name else []
            arguments += [value] if value else []
        return arguments

    def _value(self, name: str, declared: Mapping[str, Any]) -> str | None:
        """What is given, else what is said, else empty where it is required; None where it is not needed."""
        template = _text(declared, "value")
        if template:
            return self._filled(template, declared.get("variables"))
        about = self._declare(name, declared)
        if name in self._values:
            return self._values[name]
        if _text(declared, "default"):
            return _text(declared, "default")
        if not about.is_required:
            return None
        self.missing.append(about)
        return ""

    def _filled(self, template: str, variables: object) -> str:
        known = variables if isinstance(variables, Mapping) else {}

        def fill(match: re.Match[str]) -> str:
            declared = known.get(match[1])
            if not isinstance(declared, Mapping):
                return match[0]
            return self._value(match[1], {"isRequired": True, **declared}) or ""

        return _VARIABLE.sub(fill, template)

    def _declare(self, name: str, declared: Mapping[str, Any]) -> DeclaredValue:
        choices = declared.get("choices")
        value = DeclaredValue(
            name,
            _text(declared, "description"),
            declared.get("isSecret") is True,
            declared.get("isRequired") is True,
            _text(declared, "default"),
            tuple(choice for choice in choices if isinstance(choice, str)) if isinstance(choices, list) else (),
        )
        self.declared.append(value)
        return value


def _packages(listed: RegistryEntry) -> list[Mapping[str, Any]]:
    return [package for package in _objects(listed.document, "packages") if _runner(package) is not None]


def _remotes(listed: RegistryEntry) -> list[Mapping[str, Any]]:
    return [entry for entry in _objects(listed.document, "remotes") if entry.get("type") in _REMOTES]


def _runner(package: Mapping[str, Any]) -> str | None:
    """What starts a package that speaks over its standard streams."""
    transport = package.get("transport")
    if isinstance(transport, Mapping) and transport.get("type", "stdio") != "stdio":
        return None
    kind = package.get("registryType", package.get("registry_type"))
    return {"npm": "npx", "pypi": "uvx", "oci": "docker"}.get(str(kind))


def _short_name(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2][:_NAME_LENGTH] or name.replace("/", "-")[:_NAME_LENGTH]


def _objects(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = values.get(key)
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""
