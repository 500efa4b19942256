"""JSON-RPC messages as bytes and as plain dictionaries.

Messages are not turned into typed models: a gateway hands on what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, from_json, to_json

Message: TypeAlias = dict[str, Any]


def encode(message: Mapping[str, Any]) -> bytes:
    """`message` as JSON in UTF-8, without line breaks."""
    try:
        return to_json(message, inf_nan_mode="constants")
    except (PydanticSerializationError, UnicodeEncodeError):
        # Lone surrogates are legal in JSON as escapes, which only the standard library writes.
        return json.dumps(message, separators=(",", ":")).encode("ascii")


def decode(data: bytes | str) -> Any:
    """The value that `data` says in JSON; ValueError where it is not JSON, or not UTF-8."""
    try:
        return from_json(data)
    except ValueError:
        try:
            return json.loads(data)
        except RecursionError:
            raise ValueError("nested too deeply") from None
