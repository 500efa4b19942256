"""The vectors in an answer of OpenAI's shape, and of those that servers of its kind give in its place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np

_FLOAT_BYTES = 4


def read_vectors(answer: Any) -> Any:
    """The vectors in `answer`, in the order of the texts and unchecked; None where it holds none.

    OpenAI's: `{"data": [{"index", "embedding"}]}`, a vector as numbers or as base64 of little-endian float32. Others:
    a list of such items or of vectors alone (TEI, llama.cpp), `{"embeddings": [[…]]}`, items without an index or all
    with the same one, a vector in a list of its own.
    """
    items = answer
    if isinstance(answer, dict):
        items = answer.get("data") if "data" in answer else answer.get("embeddings")
    if not isinstance(items, list):
        return None
    return [_read_vector(item) for item in _in_order(items)]


def _in_order(items: Sequence[Any]) -> Sequence[Any]:
    indexes = [item.get("index") for item in items if isinstance(item, dict)]
    places = {index for index in indexes if isinstance(index, int)}
    # Any other index than these says nothing.
    if places == set(range(len(items))):
        return sorted(items, key=lambda item: int(item["index"]))
    return items


def _read_vector(item: Any) -> Any:
    vector = item.get("embedding") if isinstance(item, dict) else item
    if isinstance(vector, str):
        return _decode(vector)
    if isinstance(vector, list) and len(vector) == 1 and isinstance(vector[0], list):
        return vector[0]
    return vector


def _decode(text: str) -> list[float] | None:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(content) % _FLOAT_BYTES:
        return None
    numbers: list[float] = np.frombuffer(content, "<f4").astype(np.float64).tolist()
    return numbers
