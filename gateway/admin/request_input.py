"""Input from outside, read into frozen dataclasses: JSON bodies, query strings and forms."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import FieldProblem, InvalidInputError

FORBID_EXTRA = ConfigDict(extra="forbid")
"""What a dataclass that is read from outside has as its `__pydantic_config__`."""

T = TypeVar("T")

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_SHOWN_CHARACTERS = 60


@cache
def type_adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator and serialiser of a type."""
    return TypeAdapter(kind)


def parse_json(kind: type[T], body: bytes) -> T:
    """`body` as a `kind`, judged strictly: a number in quotes is no number. Raises InvalidInputError."""
    try:
        if b"\x00" in body or b"\\u0000" in body:
            _refuse_null(json.loads(body), "")
        return cast(T, type_adapter(cast(Any, kind)).validate_json(body, strict=True))
    except ValidationError as error:
        raise _told(error, kind) from None
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is not valid JSON.", "") from None


def parse_query(kind: type[T], values: Mapping[str, list[str]]) -> T:
    """A query string, each name with all its values, as the dataclass `kind`. Raises InvalidInputError."""
    hints = typing.get_type_hints(kind)
    given = {}
    for name, said in values.items():
        shape = _plain(hints.get(name, str))
        if typing.get_origin(shape) is tuple:
            given[name] = [_typed(typing.get_args(shape)[0], value) for value in said]
        elif len(said) > 1:
            raise InvalidInputError(f"{name} is given {len(said)} times; give it once.", name)
        else:
            given[name] = _typed(shape, said[0])
    return parse_json(kind, json.dumps(given).encode())


def parse_form(kind: type[T], values: Mapping[str, Any]) -> T:
    """Fields of a form, or values made of them, as the dataclass `kind`, judged leniently: "5" is a number.

    Raises InvalidInputError.
    """
    try:
        _refuse_null(dict(values), "")
        return cast(T, type_adapter(cast(Any, kind)).validate_python(dict(values)))
    except ValidationError as error:
        raise _told(error, kind) from None


def _plain(hint: Any) -> Any:
    """A type without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _typed(shape: Any, value: str) -> Any:
    if shape is int and _INTEGER.fullmatch(value):
        return int(value)
    if shape is float:
        try:
            return float(value)
        except ValueError:
            return value
    if shape is bool:
        return {"true": True, "false": False}.get(value, value)
    return value


def _refuse_null(value: Any, where: str) -> None:
    """PostgreSQL has no null character in texts; it is refused for everything alike."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidInputError(f"{where or 'It'} holds a null character; leave it out.", where)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_null(name, where)
            _refuse_null(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            _refuse_null(item, f"{where}.{position}")


def _told(error: ValidationError, kind: Any) -> InvalidInputError:
    return InvalidInputError.of_fields(_problem(each, kind) for each in error.errors(include_url=False))


def _problem(error: ErrorDetails, kind: Any) -> FieldProblem:
    where = ".".join(str(part) for part in error["loc"])
    name = where or "The body"
    told = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    match error["type"]:
        case "missing":
            detail = f"{name} is missing."
        case "extra_forbidden" | "unexpected_keyword_argument":
            known = ", ".join(each.name for each in fields(kind)) if hasattr(kind, "__dataclass_fields__") else ""
            detail = f"{_cut(name)} is not known here{f'; there are {known}' if known else ''}."
        case "json_invalid":
            detail = "The body is not valid JSON."
        case "string_too_short" if error.get("ctx", {}).get("min_length") == 1:
            detail = f"{name} is empty."
        case _ if error["msg"].startswith("Input should be "):
            detail = f"{name} has to be {told}."
        case _:
            detail = f"{name}: {told}."
    return FieldProblem(where, detail)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
