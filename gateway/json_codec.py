"""JSON-RPC messages as bytes and as plain dictionaries.

Messages are not turned into typed models: a gateway hands on what it does not know. For the same reason orjson neither
reads nor writes what others have sent: it makes floats of integers beyond 64 bits, null of NaN, and takes no lone
surrogates.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from pydantic_core import PydanticSerializationError, from_json, to_json

from gateway.errors import TooDeepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Message: TypeAlias = dict[str, Any]

_MAX_DEPTH = 200


def encode(message: Any) -> bytes:
    """`message`, or any other JSON value, in UTF-8 without line breaks. Raises TooDeepError."""
    try:
        return to_json(message, inf_nan_mode="constants")
    except (PydanticSerializationError, UnicodeEncodeError):
        # Lone surrogates are legal in JSON as escapes, which only the standard library writes.
        try:
            return json.dumps(message, separators=(",", ":")).encode("ascii")
        except RecursionError:
            raise TooDeepError() from None


def assemble(value: Any) -> bytes:
    """`value` in JSON, where each `bytes` in it is the JSON text of what stands in that place, and goes in unread.

    All else in it is the gateway's own: its floats are finite.
    """
    try:
        return orjson.dumps(value, default=orjson.Fragment)
    except TypeError:
        # Lone surrogates in names of members, and integers beyond 64 bits in ids.
        return json.dumps(value, default=json.loads, separators=(",", ":")).encode("ascii")


def encode_vector(vector: npt.NDArray[np.float32]) -> bytes:
    """A vector, shape (d,), as a JSON array of finite numbers, each with the fewest digits that are that float32.

    As Python writes them, by way of a double, they have up to twenty, which programs in Java make numbers of any length
    of. To be put together by `assemble`.
    """
    # Commands that know no vectors start in half of the time without it.
    import numpy as np

    return orjson.dumps(np.ascontiguousarray(vector, dtype=np.float32), option=orjson.OPT_SERIALIZE_NUMPY)


def decode(data: bytes | str) -> Any:
    """The value that `data` says in JSON; ValueError where it is not JSON, not UTF-8, or nested too deeply."""
    try:
        return from_json(data)
    except ValueError:
        # The faster parser takes no lone surrogates, nor what is nested deeply; it does not say which it met.
        pass
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_depth(value, _MAX_DEPTH)
    return value


def check_sendable(value: Any) -> None:
    """Raises ValueError for what Python reads as JSON and others do not: NaN, infinite numbers, very deep nesting."""
    check_depth(value, _MAX_DEPTH, finite=True)


def check_depth(value: Any, levels: int, *, finite: bool = False) -> None:
    """Raises ValueError for what is nested deeper than `levels`; 200 are what `from_json` and Python's clients read."""
    level = [value]
    for _ in range(levels + 1):
        if finite and not all(math.isfinite(each) for each in level if isinstance(each, float)):
            raise ValueError("a number is not finite")
        level = [
            part
            for each in level
            if isinstance(each, (dict, list))
            for part in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")
