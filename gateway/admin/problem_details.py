"""Errors as problem details (RFC 9457): one sentence, and the field it is about."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.responses import Response

from gateway.errors import (
    AccessError,
    ConflictError,
    CredentialError,
    DatabaseError,
    EmbeddingError,
    FieldProblem,
    HttpError,
    InvalidInputError,
    LockedOutError,
    ModelGateError,
    NotFoundError,
    SignInRequiredError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"

# The first class that an error is an instance of tells its status.
_STATUS: tuple[tuple[type[ModelGateError], int], ...] = (
    (LockedOutError, 429),
    (SignInRequiredError, 401),
    (CredentialError, 401),
    (AccessError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (InvalidInputError, 422),
    (UpstreamBusyError, 503),
    (UpstreamTimeoutError, 504),
    (UpstreamError, 502),
    (EmbeddingError, 503),
    (DatabaseError, 503),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, as it is sent. `detail` is a sentence for a person; `field` names the first bad field.

    `code` is the kind of trouble, under which docs/troubleshooting.md has it. `errors` has every bad field of what was
    sent.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    errors: tuple[FieldProblem, ...] = ()


def build_problem(error: ModelGateError) -> Problem:
    """The problem that an error is told as."""
    if isinstance(error, HttpError):
        status = error.status
    else:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 503)
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    named = next((each.field for each in problems if each.field), None)
    return Problem("about:blank", HTTPStatus(status).phrase, status, error.message, error.error_code, named, problems)


def problem_response(error: ModelGateError) -> Response:
    """The response for an error."""
    problem = build_problem(error)
    headers: dict[str, str] = dict(error.headers) if isinstance(error, HttpError) else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="ModelGate admin"'
    if isinstance(error, LockedOutError):
        headers["Retry-After"] = str(error.retry_after)
    body = json.dumps(asdict(problem), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, problem.status, headers, PROBLEM_MEDIA_TYPE)
