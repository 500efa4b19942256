"""Credentials that a person gives as they are: a token, a key, or a user and a password."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from gateway.access.connections.connections import Connections
from gateway.access.connections.source import PersonAtServer
from gateway.errors import ConnectionNeededError, InvalidInputError
from gateway.upstream.credentials.personal import PersonalSecret, PersonCredential

_LONGEST = 16_384
SECRET, USERNAME, PASSWORD = "secret", "username", "password"


class SecretSource:
    """Sends what a person gave to where the server looks for it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, at: PersonAtServer) -> PersonCredential:
        spec, kind = at.spec, at.spec.personal
        connection = await self._connections.get(spec.tenant_id, at.person.id, spec.id)
        if connection is None or connection.kind != "secret" or not isinstance(kind, PersonalSecret):
            raise ConnectionNeededError(spec.name, spec.id)
        self._connections.touch(connection)
        return secret_credential(kind, connection.secret, at.session(str(connection.id)))

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        """What was given is all there is, unless the person has given another meanwhile."""
        now = await self.get(at)
        if now.session != refused.session:
            return now
        spec = at.spec
        raise ConnectionNeededError(spec.name, spec.id, f"{spec.name} does not take what you gave for it any more")

    async def revoke(self, at: PersonAtServer) -> None:
        """There is nobody who could be told; the person ends it where they got it."""


def secret_credential(kind: PersonalSecret, secret: Mapping[str, Any], session: str) -> PersonCredential:
    """What requests of a session carry of a stored secret."""
    return PersonCredential(session, **{_PLACES[kind.place]: {kind.name: _sent_value(kind, secret)}})


def _sent_value(kind: PersonalSecret, secret: Mapping[str, Any]) -> str:
    if kind.basic:
        pair = f"{secret[USERNAME]}:{secret[PASSWORD]}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"
    return kind.form.replace("{secret}", str(secret[SECRET]))


def read_secret(kind: PersonalSecret, given: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """What to store of what a person gave, and as whom the server knows them as far as it says so.

    Raises InvalidInputError for what is missing, or could never be sent.
    """
    if kind.basic:
        username, password = given.get(USERNAME, "").strip(), given.get(PASSWORD, "")
        if not username or ":" in username:
            raise InvalidInputError("The user name is missing, or holds a colon, which it may not.", USERNAME)
        _check(password, PASSWORD)
        _check(username, USERNAME)
        return {USERNAME: username, PASSWORD: password}, username
    secret = given.get(SECRET, "").strip()
    _check(secret, SECRET)
    if kind.place != "env" and not secret.isascii():
        raise InvalidInputError("It holds a letter that cannot be sent; paste it once more.", SECRET)
    return {SECRET: secret}, ""


def _check(value: str, field: str) -> None:
    if not value or len(value) > _LONGEST or not value.isprintable():
        raise InvalidInputError(
            f"It is empty, over {_LONGEST:,} characters, or holds a line break; paste it once more.", field
        )


_PLACES = {"header": "headers", "query": "query", "env": "env"}
