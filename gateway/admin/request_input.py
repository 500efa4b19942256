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

# What the validator says of them is about types and patterns, which a person who fills in a form knows nothing of.
_SENTENCES = {
    "string_too_long": "may have at most {max_length} characters.",
    "string_too_short": "has to have at least {min_length} characters.",
    "string_pattern_mismatch": "holds characters that are not allowed, or begins with one.",
    "string_type": "has to be a text.",
    "int_parsing": "has to be a whole number.",
    "int_type": "has to be a whole number.",
    "int_from_float": "has to be a whole number.",
    "float_parsing": "has to be a number.",
    "float_type": "has to be a number.",
    "bool_parsing": "has to be true or false.",
    "bool_type": "has to be true or false.",
    "greater_than": "has to be more than {gt}.",
    "greater_than_equal": "has to be {ge} or more.",
    "less_than": "has to be less than {lt}.",
    "less_than_equal": "has to be {le} or less.",
    "too_long": "may have at most {max_length} entries.",
    "too_short": "needs at least {min_length} entries.",
    "datetime_from_date_parsing": "has to be a date and time, as 2026-01-31T12:00:00Z.",
    "datetime_parsing": "has to be a date and time, as 2026-01-31T12:00:00Z.",
    "timezone_aware": "needs a time zone, as in 2026-01-31T12:00:00Z.",
    "none_required": "has to be empty.",
}

T = TypeVar("T")

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_MAX_NAME_CHARACTERS = 60


@cache
def type_adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator and serialiser of a type."""
    return TypeAdapter(kind)


def parse_json(kind: type[T], body: bytes) -> T:
    """`body` as a `kind`, judged strictly: a number in quotes is no number. Raises InvalidInputError."""
    try:
        if b"\x00" in body or b"\\u0000" in body:
            _reject_nulls(json.loads(body), "")
        return cast(T, type_adapter(cast(Any, kind)).validate_json(body, strict=True))
    except ValidationError as error:
        raise _to_input_error(error, kind) from None
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is not valid JSON.", "") from None


def parse_query(kind: type[T], values: Mapping[str, list[str]]) -> T:
    """A query string, each name with all its values, as the dataclass `kind`. Raises InvalidInputError."""
    hints = typing.get_type_hints(kind)
    converted = {}
    for name, texts in values.items():
        shape = _without_none(hints.get(name, str))
        if typing.get_origin(shape) is tuple:
            converted[name] = [_convert(typing.get_args(shape)[0], value) for value in texts]
        elif len(texts) > 1:
            raise InvalidInputError(f"{name} is given {len(texts)} times; give it once.", name)
        else:
            converted[name] = _convert(shape, texts[0])
    return parse_json(kind, json.dumps(converted).encode())


def parse_form(kind: type[T], values: Mapping[str, Any]) -> T:
    """Fields of a form, or values made of them, as the dataclass `kind`, judged leniently: "5" is a number.

    Raises InvalidInputError.
    """
    try:
        _reject_nulls(dict(values), "")
        return cast(T, type_adapter(cast(Any, kind)).validate_python(dict(values)))
    except ValidationError as error:
        raise _to_input_error(error, kind) from None


def _without_none(hint: Any) -> Any:
    """A type without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _convert(shape: Any, value: str) -> Any:
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


def _reject_nulls(value: Any, location: str) -> None:
    """PostgreSQL has no null character in texts; it is refused for everything alike."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidInputError(f"{location or 'It'} holds a null character; leave it out.", location)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _reject_nulls(name, location)
            _reject_nulls(item, f"{location}.{name}" if location else str(name))
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            _reject_nulls(item, f"{location}.{position}")


def _to_input_error(error: ValidationError, kind: Any) -> InvalidInputError:
    return InvalidInputError.of_fields(_field_problem(each, kind) for each in error.errors(include_url=False))


def _field_problem(error: ErrorDetails, kind: Any) -> FieldProblem:
    location = ".".join(str(part) for part in error["loc"])
    name = location or "The body"
    sentence = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    match error["type"]:
        case "missing":
            detail = f"{name} is missing."
        case "extra_forbidden" | "unexpected_keyword_argument":
            known = ", ".join(each.name for each in fields(kind)) if hasattr(kind, "__dataclass_fields__") else ""
            detail = f"{_shorten(name)} is not known here{f'; there are {known}' if known else ''}."
        case "json_invalid":
            detail = "The body is not valid JSON."
        case "too_short" if error.get("ctx", {}).get("min_length") == 1:
            detail = f"{name} needs at least one entry."
        case "string_too_short" if error.get("ctx", {}).get("min_length") == 1:
            detail = f"{name} is empty."
        case kind_of_error if (sentence_of := _SENTENCES.get(kind_of_error)) is not None:
            detail = f"{name} {sentence_of.format(**error.get('ctx', {}))}"
        case _ if error["msg"].startswith("Input should be "):
            detail = f"{name} has to be {sentence}."
        case _:
            detail = f"{name}: {sentence}."
    return FieldProblem(location, detail)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARACTERS else f"{text[:_MAX_NAME_CHARACTERS]}…"
