"""A result that is JSON text already."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from gateway.json_codec import encode


class Serialized:
    """A result as the bytes that go over the wire; `value` is the same as a dictionary, parsed when first asked for."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @classmethod
    def of(cls, value: dict[str, Any]) -> Serialized:
        """`value`, encoded; it must not be changed afterwards."""
        made = cls(encode(value))
        made.__dict__["value"] = value
        return made

    @cached_property
    def value(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed
