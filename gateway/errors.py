"""Every error that ModelGate raises on purpose.

All of them stand here, below one root. A class that a module raises and catches by itself may stand in that module,
private to it; nothing else may.

Each class is one documented sentence; raised without a message, the sentence is the message. A message says what
happened, to which thing, and what to do next, without internals: it may be shown to a user as it is. What a program
has to know of an error is an attribute, never a part of the sentence.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class ModelGateError(Exception):
    """Something went wrong in ModelGate."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)

    @property
    def message(self) -> str:
        return str(self.args[0])


class SettingsError(ModelGateError):
    """The settings cannot be used."""


class InstallError(ModelGateError):
    """A server of the demo could not be installed."""


class TooDeepError(ModelGateError, ValueError):
    """A value is nested too deeply to be written as JSON."""


class DatabaseError(ModelGateError):
    """The database cannot be used."""


class DatabaseUnavailableError(DatabaseError):
    """The database does not answer; try again in a moment."""


class MigrationError(DatabaseError):
    """The database schema does not fit this version of ModelGate."""


class AuditUnavailableError(ModelGateError):
    """The trace of calls cannot be written, and without it nothing may be done; tell the gateway's administrator."""


class EmbeddingError(ModelGateError):
    """A text could not be turned into a vector; `detail` says what happened, `next_step` what to do about it."""

    def __init__(self, detail: str, next_step: str) -> None:
        """Both without a full stop; the message is made of the two."""
        super().__init__(f"{detail}; {next_step}.")
        self.detail = detail
        self.next_step = next_step


class EmbedderUnavailableError(EmbeddingError):
    """The embedder does not answer; try again in a moment."""


class EmbedderFailedError(EmbedderUnavailableError):
    """The embedder failed at a request, again and again, or did not end it in time: it may be for the texts in it."""

    def __init__(self, detail: str, next_step: str, *, timed_out: bool = False) -> None:
        super().__init__(detail, next_step)
        self.timed_out = timed_out


class TextRefusedError(EmbeddingError):
    """The embedder refuses a request for the texts in it, which are too long, too many, or none that it can embed."""

    def __init__(self, detail: str, next_step: str, reason: str = "") -> None:
        """`reason` is what the embedder said, empty where it said nothing."""
        super().__init__(detail, next_step)
        self.reason = reason or detail


class BadVectorError(EmbeddingError):
    """The embedder returned a vector that cannot be used."""


class ModelChangedError(BadVectorError):
    """The model is another one under the name that it had; its vectors cannot be compared with those before."""


class RerankError(ModelGateError):
    """The reranker gave no order; its message is half a sentence, what happened to which reranker."""


class IndexTooLargeError(ModelGateError):
    """A tenant's index does not fit into the memory that search may take; `tool_count` is how many tools it has."""

    def __init__(self, tenant_id: int, tool_count: int) -> None:
        super().__init__(f"The {tool_count:,} tools of tenant {tenant_id} do not fit into search.index_mib; raise it.")
        self.tenant_id = tenant_id
        self.tool_count = tool_count


class UpstreamError(ModelGateError):
    """An upstream server failed; `server` is its name."""

    def __init__(self, server: str, message: str) -> None:
        super().__init__(message)
        self.server = server


class UpstreamUnavailableError(UpstreamError):
    """The upstream server cannot be reached, or ended before it answered."""


class RequestNotSentError(UpstreamUnavailableError):
    """The upstream server did not take the request, so it may safely be sent again."""


class UpstreamHttpError(UpstreamUnavailableError):
    """The upstream server answered with an HTTP status instead of a message; `status` is that status.

    `said` is the beginning of what came with it. `session_lives` says that the server is known to answer other requests
    of the same session.
    """

    def __init__(self, server: str, message: str, status: int, said: str = "") -> None:
        super().__init__(server, message)
        self.status = status
        self.said = said
        self.session_lives = False


class SessionLostError(UpstreamUnavailableError):
    """The upstream server has forgotten the session; `refusal` is how it says so.

    `resendable`: the request was certainly not taken, or does no harm twice. `by_ping`: the server refuses pings in the
    session too, from which this was concluded.
    """

    def __init__(
        self,
        server: str,
        refusal: UpstreamReplyError | UpstreamHttpError,
        *,
        resendable: bool = True,
        by_ping: bool = False,
    ) -> None:
        super().__init__(server, f"Server {server} has forgotten the session ({refusal.message}); try again.")
        self.refusal = refusal
        self.resendable = resendable
        self.by_ping = by_ping


class GrantRefusedError(UpstreamUnavailableError):
    """The authorization server of an upstream server refused the request for a token."""


class UpstreamTimeoutError(UpstreamError):
    """The upstream server did not answer in time."""


class UpstreamDeadlineError(UpstreamTimeoutError):
    """The upstream server still worked on a call when the longest time that any may take was over."""


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


class RegistryError(ModelGateError):
    """A registry of servers cannot be asked, or answers with something else."""


class NotFoundError(ModelGateError):
    """There is no such thing in this tenant."""


class ConflictError(ModelGateError):
    """The change does not fit what is there."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field; `field` is its name, dotted where it is nested, empty for the whole."""

    field: str
    detail: str


class InvalidInputError(ModelGateError):
    """An argument is missing or has a value it may not have; `field` names it, `problems` says so field by field.

    `field` is the name of the parameter, or of the field of a value, that cannot be as it is; empty where it is the
    whole, None where none can be named.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.problems: tuple[FieldProblem, ...] = () if field is None else (FieldProblem(field, message),)

    @classmethod
    def of_fields(cls, problems: Iterable[FieldProblem]) -> InvalidInputError:
        """The error of several fields (one or more); its message and field are those of the first."""
        every = tuple(problems)
        error = cls(every[0].detail, every[0].field)
        error.problems = every
        return error


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


class SignInRequiredError(AccessError):
    """Sign in first."""


class ForbiddenError(AccessError):
    """This account may not do that."""


class LockedOutError(AccessError):
    """Too many attempts to sign in have failed; `retry_after` is the seconds (1 or more) to wait."""

    def __init__(self, retry_after: int) -> None:
        wait = f"{retry_after} seconds" if retry_after < 120 else f"{math.ceil(retry_after / 60)} minutes"
        super().__init__(f"Too many attempts to sign in have failed; try again in {wait}.")
        self.retry_after = retry_after


class OpenIdError(AccessError):
    """A sign-in at the OpenID provider has failed; `code` says why, and `MESSAGES` has each code in words."""

    MESSAGES: ClassVar[Mapping[str, str]] = {
        "unavailable": "The sign-in provider does not answer; try again in a moment.",
        "refused": "The sign-in provider has not signed you in; try again.",
        "expired": "This sign-in took too long or was begun in another window; begin again.",
        "invalid": "What the sign-in provider answered cannot be trusted; ask whoever runs the gateway.",
        "not-allowed": "You are signed in at the provider, but no role of this gateway goes with your groups.",
    }

    def __init__(self, code: str) -> None:
        super().__init__(self.MESSAGES[code])
        self.code = code


class SignInUnavailableError(ModelGateError):
    """The OpenID provider does not answer; try again in a moment."""


class HttpError(ModelGateError):
    """A request of the admin's API or pages that HTTP has a `status` of its own for, answered with `headers`."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
