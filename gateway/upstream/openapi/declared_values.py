"""Values of a document as the kind that OpenAPI wants them to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidInputError
from gateway.json_codec import Message


def object_of(value: Any, what: str) -> Message:
    """`value` as an object, nothing as an empty one. Raises InvalidInputError for all else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(f"{what} is {repr(value)[:100]}, which is not an object")
    return value


def list_of(values: Mapping[str, Any], key: str) -> list[Any]:
    """The list under `key`, nothing as an empty one. Raises InvalidInputError for all else."""
    value = values.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInputError(f"its {key} are {repr(value)[:100]}, which is not a list")
    return value


def text_of(values: Mapping[str, Any], key: str) -> str:
    """The text under `key`; empty where there is none."""
    value = values.get(key)
    return value.strip() if isinstance(value, str) else ""
