"""A result whose members are JSON text already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from gateway.json_codec import assemble, decode, encode


class SerializedResult:
    """A result as it goes over the wire: its members by name, each of them in JSON.

    That it is no single text lets a protocol era add members of its own without encoding the others again.
    """

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = members

    @classmethod
    def of(cls, value: dict[str, Any]) -> SerializedResult:
        """`value`, encoded; it must not be changed afterwards. Raises TooDeepError."""
        result = cls({name: encode(member) for name, member in value.items()})
        result.__dict__["value"] = value
        return result

    @cached_property
    def value(self) -> dict[str, Any]:
        """The same as a dictionary, parsed when first asked for."""
        value: dict[str, Any] = decode(self.to_json())
        return value

    def to_json(self) -> bytes:
        """The whole result as one JSON object."""
        return assemble(self.members)
