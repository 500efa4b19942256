"""What is wrong with a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors.root import ModelGateError


class TooDeepError(ModelGateError, ValueError):
    """A value is nested too deeply to be written as JSON."""


class OverloadedError(ModelGateError, code="overloaded"):
    """The gateway has as many requests under way as it may have; try again in a moment."""


class NotFoundError(ModelGateError, code="not-found"):
    """There is no such thing in this tenant."""


class ApprovalNotFoundError(NotFoundError):
    """There is no such approval of a call in this tenant."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(
            f"There is no approval {approval_id[:100]!r}; `modelgate approvals list` shows those that wait."
        )


class ConflictError(ModelGateError, code="conflict"):
    """The change does not fit what is there."""


class ApprovalDecidedError(ConflictError, code="approval-decided"):
    """About the approval of a call there is nothing to decide any more."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field; `field` is its name, dotted where it is nested, empty for the whole."""

    field: str
    detail: str


class InvalidInputError(ModelGateError, code="invalid-input"):
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


class HttpError(ModelGateError, code="http"):
    """A request of the admin's API or pages that HTTP has a `status` of its own for, answered with `headers`."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
