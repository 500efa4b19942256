"""Servers that let each person in as who they are: what such a server takes, and what a request then carries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.delegation import PersonalExchange, PersonalIdJag, PersonalOAuth

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_GIVEN = "{secret}"
# What HTTP and MCP themselves say on each request, and no person may.
_OF_THE_PROTOCOL = frozenset(
    (
        *(
            "host",
            "content-length",
            "content-type",
            "content-encoding",
            "transfer-encoding",
            "connection",
            "keep-alive",
        ),
        *("te", "trailer", "upgrade", "expect", "accept", "accept-encoding", "origin", "last-event-id"),
        *("mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"),
    )
)


@dataclass(frozen=True, slots=True)
class PersonalSecret:
    """Each person gives a token or a key, or a user and a password, and it goes where the server looks for it.

    `name` is that of a header, a query parameter or a variable of a stdio server, by `place`. In `form`, `{secret}`
    stands for what the person gave; `basic` asks for user and password, sent as `Authorization: Basic` (RFC 7617).
    """

    place: Literal["header", "query", "env"] = "header"
    name: str = "Authorization"
    form: str = "Bearer {secret}"
    basic: bool = False


@dataclass(frozen=True, slots=True)
class PersonalHeader:
    """A trusted proxy puts a value of the person on each request, as the header `name`, and it goes on as `send_as`."""

    name: str = ""
    send_as: str = ""


PersonalKind: TypeAlias = PersonalSecret | PersonalOAuth | PersonalExchange | PersonalIdJag | PersonalHeader

PERSONAL_KINDS: Mapping[str, type[Any]] = {
    "secret": PersonalSecret,
    "oauth": PersonalOAuth,
    "exchange": PersonalExchange,
    "id_jag": PersonalIdJag,
    "header": PersonalHeader,
}
"""The kinds by the name under which they are set and stored."""


@dataclass(frozen=True, slots=True)
class PersonCredential:
    """What one request carries to let one person in at one server.

    `session` says whose upstream session it goes through: tenant, person, server and what was granted are in it, and
    nothing secret. Requests of two persons never have the same. `headers` and `query` go with every HTTP request of
    the session, `env` is what the process of a stdio server is started with.
    """

    session: str
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    query: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)


class CurrentCredential:
    """The credential of the person whose session it is, as the last of their requests brought it."""

    def __init__(self, value: PersonCredential) -> None:
        self.value = value


def personal_kind(kind: PersonalKind) -> str:
    """The name of a kind."""
    return next(name for name, type_ in PERSONAL_KINDS.items() if type_ is type(kind))


def personal_to_dict(kind: PersonalKind | None) -> dict[str, Any] | None:
    """A kind as plain values, to be sealed."""
    return None if kind is None else {"kind": personal_kind(kind), **asdict(kind)}


def personal_from_dict(values: Mapping[str, Any] | None) -> PersonalKind | None:
    """What `personal_to_dict` made."""
    if not values:
        return None
    rest = {name: value for name, value in values.items() if name != "kind"}
    type_ = PERSONAL_KINDS[values["kind"]]
    made: PersonalKind = type_.from_dict(rest) if hasattr(type_, "from_dict") else type_(**rest)
    return made


def check_personal(kind: PersonalKind | None, transport: str) -> None:
    """Raises InvalidInputError for a kind that a server of this transport cannot have, or that could never be sent."""
    if isinstance(kind, PersonalSecret):
        _check_secret(kind, transport)
    elif transport == "stdio" and kind is not None:
        raise InvalidInputError(
            "A stdio server takes what is personal in a variable only, as a secret of the person.", "kind"
        )
    elif isinstance(kind, (PersonalOAuth, PersonalExchange, PersonalIdJag)):
        kind.check()
    elif isinstance(kind, PersonalHeader):
        for field, name in (("name", kind.name), ("send_as", kind.send_as)):
            if not _HEADER_NAME.fullmatch(name):
                raise InvalidInputError(f"{name[:100]!r} is not the name of an HTTP header.", field)
        _check_header(kind.send_as, "send_as")
        if kind.name.lower() in ("authorization", "x-api-key", "cookie"):
            raise InvalidInputError(
                f"{kind.name} is what the gateway itself is called with and never passed on; name another header.",
                "name",
            )


def _check_secret(kind: PersonalSecret, transport: str) -> None:
    if (kind.place == "env") != (transport == "stdio"):
        where = "a variable" if transport == "stdio" else "a header or a query parameter"
        raise InvalidInputError(f"This server takes the secret of a person in {where}.", "place")
    name_form = _VARIABLE_NAME if kind.place == "env" else _HEADER_NAME
    if not name_form.fullmatch(kind.name):
        raise InvalidInputError(f"{kind.name[:100]!r} cannot be the name of the {kind.place}.", "name")
    if kind.place == "header":
        _check_header(kind.name, "name")
    if _GIVEN not in kind.form or not kind.form.isprintable() or not kind.form.isascii():
        raise InvalidInputError(f"The form has to hold {_GIVEN}, for what the person gave.", "form")
    if kind.basic and (kind.place, kind.name.lower()) != ("header", "authorization"):
        raise InvalidInputError("User and password are sent in the header Authorization.", "name")


def _check_header(name: str, field: str) -> None:
    if name.lower() in _OF_THE_PROTOCOL:
        raise InvalidInputError(f"The header {name} is one of the protocol's own; send it as another.", field)
