"""Every error that ModelGate raises on purpose.

Each class is one documented sentence; raised without a message, the sentence is the message. A message says what
happened, to which thing, and what to do next, without internals: it may be shown to a user as it is.
"""

from __future__ import annotations

import inspect
from typing import Any


class ModelGateError(Exception):
    """Something went wrong in ModelGate."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)

    @property
    def message(self) -> str:
        return str(self.args[0])


class SettingsError(ModelGateError):
    """The settings cannot be used."""


class DatabaseError(ModelGateError):
    """The database cannot be used."""


class DatabaseUnavailableError(DatabaseError):
    """The database does not answer; try again in a moment."""


class MigrationError(DatabaseError):
    """The database schema does not fit this version of ModelGate."""


class EmbeddingError(ModelGateError):
    """A text could not be turned into a vector."""


class EmbedderUnavailableError(EmbeddingError):
    """The embedder does not answer; try again in a moment."""


class BadVectorError(EmbeddingError):
    """The embedder returned a vector that cannot be used."""


class UpstreamError(ModelGateError):
    """An upstream server failed; `server` is its name."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(message)
        self.server = server


class UpstreamUnavailableError(UpstreamError):
    """The upstream server cannot be reached, or ended before it answered."""


class UpstreamTimeoutError(UpstreamError):
    """The upstream server did not answer in time."""


class UpstreamBusyError(UpstreamError):
    """The upstream server already has as many calls in flight as it may have."""


class UpstreamProtocolError(UpstreamError):
    """The upstream server sent something that is not MCP."""


class UpstreamReplyError(UpstreamError):
    """The upstream server answered with a JSON-RPC error; `code` and `data` are the server's own."""

    def __init__(self, server: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(server, message)
        self.code = code
        self.data = data


class InstallError(ModelGateError):
    """A server of the demo could not be installed."""


class NotFoundError(ModelGateError):
    """There is no such thing in this tenant."""


class ConflictError(ModelGateError):
    """The change does not fit what is there."""


class InvalidInputError(ModelGateError):
    """An argument is missing or has a value it may not have."""


class AuditUnavailableError(ModelGateError):
    """The trace of calls cannot be written, and without it nothing may be done; tell the gateway's administrator."""


class AccessError(ModelGateError):
    """The caller may not do this."""


class CredentialError(AccessError):
    """The request carries no API key that is in force."""


class RoleMissingError(AccessError):
    """The sign-in is valid, but no role goes with it."""


class LimitError(AccessError):
    """A limit of the API key is reached; `limit` is its name, `retry_after` the seconds (1 or more) it still holds."""

    def __init__(self, message: str, limit: str, retry_after: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after


class SignInUnavailableError(ModelGateError):
    """The OpenID provider does not answer; try again in a moment."""
