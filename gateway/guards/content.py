"""What is guarded: the arguments or the result of a use of a server, and the texts in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.guards.rule import Stage, Subject
from gateway.linear_pattern import ReadText
from gateway.masking import MASK
from gateway.sensitive_text.masked import Masked

# A number that is shorter is nobody's.
_MIN_DIGITS = 9
# What base64 says is no text, and a byte of it is as good as any.
_BINARY_MEMBERS = {"data": ("image", "audio"), "blob": None}
# What of a result a client holds to be the server's alone.
_OPAQUE_OF_RESULTS = frozenset({"requestState", "resultType"})
# Where the protocol says what is in a member. What has these names elsewhere is text as any other.
_BLOCKS = frozenset({"content", "contents", "messages", "inputRequests"})
_OPAQUE_OF_BLOCKS = frozenset({"mimeType"})
# The client has asked for a resource by its address, and finds its contents by that.
_OPAQUE_OF_RESOURCES = frozenset({"mimeType", "uri"})
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GuardedUse:
    """A call of a tool, or a use of a prompt or a resource, by a caller with these roles.

    `target` is the exposed name of the tool, the name of the prompt, or the address of the resource.
    """

    tenant_id: int
    role_ids: tuple[int, ...]
    caller: str
    subject: Subject
    server_id: int
    server: str
    target: str
    tool_id: int | None = None
    category: str | None = None


class Content:
    """The arguments or the result of a use, as JSON values. Neither is changed in place."""

    def __init__(self, use: GuardedUse, stage: Stage, value: Any) -> None:
        self.use = use
        self.stage = stage
        self.value = value

    @cached_property
    def texts(self) -> list[str]:
        """Every text in it, keys of objects and long numbers included, but for pictures, sounds and files."""
        found: list[str] = []
        if self.stage == "arguments" or not isinstance(self.value, Mapping):
            _collect(self.value, _NOTHING, found)
            return found
        for name, part in self.value.items():
            if name not in _OPAQUE_OF_RESULTS:
                found.append(name)
                _collect(part, self._opaque_in(name), found)
        return found

    @cached_property
    def text(self) -> ReadText:
        """All of them, one a line."""
        return ReadText("\n".join(self.texts))

    def text_of(self, name: str, value: Any) -> str:
        """The same of what a member of a result has as its `value`."""
        found: list[str] = []
        _collect(value, self._opaque_in(name), found)
        return "\n".join(found)

    def masked(self, mask: Callable[[str], Masked]) -> tuple[Any, dict[str, int]]:
        """It with `mask` applied to every text, and how often what was masked, by its kind.

        A text that says the structured content once more says it as that is afterwards.
        """
        masking = _Masking(mask)
        if self.stage == "arguments" or not isinstance(self.value, Mapping):
            return masking.apply(self.value, _NOTHING), masking.counts
        changed: dict[str, Any] = {}
        for name, part in self.value.items():
            if name in _OPAQUE_OF_RESULTS:
                changed[name] = part
            else:
                changed[_free_name(masking.text(name), changed)] = masking.apply(part, self._opaque_in(name))
        return update_json_texts(self.value, changed), masking.counts

    def _opaque_in(self, name: str) -> frozenset[str]:
        """Members below a member of a result that are nobody's text; none where the server writes what it likes."""
        if name not in _BLOCKS:
            return _NOTHING
        return _OPAQUE_OF_RESOURCES if self.use.subject == "resources" else _OPAQUE_OF_BLOCKS


def _collect(value: Any, opaque: frozenset[str], found: list[str]) -> None:
    """Put every text in a value into `found`; with `opaque` members there are pictures, sounds and files, too."""
    pending: list[Any] = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            for name, part in value.items():
                if opaque and (name in opaque or _is_binary(name, value)):
                    continue
                found.append(name)
                if isinstance(part, str):
                    found.append(part)
                elif part is not None and part is not True and part is not False:
                    pending.append(part)
        elif isinstance(value, list):
            pending.extend(reversed(value))
        elif _is_long_number(value):
            found.append(str(int(value)))


class _Masking:
    """Applies a mask to the texts of a value, and counts."""

    def __init__(self, mask: Callable[[str], Masked]) -> None:
        self._mask = mask
        self.counts: dict[str, int] = {}

    def apply(self, value: Any, opaque: frozenset[str]) -> Any:
        """A value that is nested no deeper than what is sent or received may be."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            changed: dict[str, Any] = {}
            for name, part in value.items():
                if opaque and (name in opaque or _is_binary(name, value)):
                    changed[name] = part
                else:
                    changed[_free_name(self.text(name), changed)] = self.apply(part, opaque)
            return changed
        if isinstance(value, list):
            return [self.apply(part, opaque) for part in value]
        if _is_long_number(value):
            digits = str(int(value))
            masked = self.text(digits)
            return value if masked == digits else masked
        return value

    def text(self, text: str) -> str:
        """A text with the mask applied."""
        masked = self._mask(text)
        for kind, count in masked.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
        return masked.text


def update_json_texts(before: Any, after: Any) -> Any:
    """A changed result in which each text that said the structured content in JSON says what that is now."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return after
    was, content = before.get("structuredContent"), before.get("content")
    now = after.get("structuredContent")
    if was is None or now == was or not isinstance(content, list) or not isinstance(after.get("content"), list):
        return after
    blocks = list(after["content"])
    for place, block in enumerate(content[: len(blocks)]):
        text = block.get("text") if isinstance(block, Mapping) else None
        if isinstance(text, str) and isinstance(blocks[place], Mapping) and _says(text, was):
            blocks[place] = {**blocks[place], "text": _written_as(text, now)}
    return {**after, "content": blocks}


def _says(text: str, value: Any) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def _written_as(text: str, value: Any) -> str:
    """`value` in JSON, with line breaks and spaces where `text` has them."""
    ascii_only = text.isascii()
    if "\n" in text.strip():
        second = text.split("\n", 2)[1]
        return json.dumps(value, indent=max(1, len(second) - len(second.lstrip())), ensure_ascii=ascii_only)
    separators = None if ", " in text or ": " in text else (",", ":")
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only)


def _is_binary(name: str, value: Mapping[str, Any]) -> bool:
    if name not in _BINARY_MEMBERS or not isinstance(value.get(name), str):
        return False
    types = _BINARY_MEMBERS[name]
    return types is None or value.get("type") in types


def _is_long_number(value: Any) -> bool:
    """Whether a number has as many digits as one of a card or a person may have."""
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return math.isfinite(value) and value.is_integer() and abs(value) >= 10**_MIN_DIGITS
    return isinstance(value, int) and abs(value) >= 10 ** (_MIN_DIGITS - 1)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, or with a number behind it where another member was masked to the same."""
    if name not in taken or MASK not in name:
        return name
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"
