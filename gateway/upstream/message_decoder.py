"""JSON-RPC messages as they are read, where one item of a list that cannot be read costs itself and not the list."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from gateway.json_codec import Message, decode

# A string that does not end goes to the end, else it would be looked for again from each of its escapes.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)|[\[\]{}]', re.DOTALL)
_NO_UTF8 = re.compile("[\udc80-\udcff]")
_COLON = re.compile(r"\s*:")
# The message, its result, the list in it.
_LIST_DEPTH = 3


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """Stands in a list for an item that cannot be read, because of `reason`; `name` is empty where it says none."""

    name: str
    reason: str


class PartialResult(Message):
    """A result in which items of lists could not be read; those are `UnreadableItem`s."""


def decode_message(data: bytes | str) -> Any:
    """The message that `data` says; ValueError where it is not JSON, or cannot be read for another reason.

    A list within its result whose items are nested too deeply, hold numbers of thousands of digits or are not UTF-8, is
    read all the same, in a `PartialResult`.
    """
    try:
        return decode(data)
    except ValueError:
        # What is not UTF-8 stands in a text as surrogates, which UTF-8 has not.
        message = _decode_apart(data.decode(errors="surrogateescape") if isinstance(data, bytes) else data)
        if message is None:
            raise
        return message


def _decode_apart(text: str) -> Message | None:
    """A message read item by item; None where that makes no message of it either."""
    items = _item_spans(text)
    if not items:
        return None
    # Nothing in the message can say the same by chance.
    mark = uuid.uuid4().hex
    pieces, end = [], 0
    for number, (start, stop) in enumerate(items):
        pieces += [text[end:start], f'"{mark}{number}"']
        end = stop
    frame = "".join([*pieces, text[end:]])
    if _NO_UTF8.search(frame):
        return None
    try:
        message = decode(frame)
    except ValueError:
        return None
    result = message.get("result") if isinstance(message, dict) else None
    if not isinstance(result, dict):
        return None
    read = {f"{mark}{number}": _read(text[start:stop]) for number, (start, stop) in enumerate(items)}
    filled = {
        key: [read.get(item, item) if isinstance(item, str) else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in result.items()
    }
    return {**message, "result": PartialResult(filled)}


def _item_spans(text: str) -> list[tuple[int, int]]:
    """Beginning and end of each object in a list in an object in the outermost object."""
    spans, start, opened = [], 0, ""
    depth = 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in ("{", "["):
            if depth <= _LIST_DEPTH:
                opened = opened[:depth] + sign
                if opened == "{{[{":
                    start = token.start()
            depth += 1
        elif sign in ("}", "]"):
            depth -= 1
            if depth < 0:
                return []
            if depth == _LIST_DEPTH and opened == "{{[{":
                spans.append((start, token.end()))
    return spans


def _read(item: str) -> Any:
    if _NO_UTF8.search(item):
        return UnreadableItem(_name_in(_NO_UTF8.sub("\ufffd", item)), "it is not UTF-8")
    try:
        return decode(item)
    except ValueError as error:
        said = str(error)
        reason = "it is not valid JSON"
        if "deep" in said:
            reason = "its definition is nested too deeply"
        elif "digits" in said:
            reason = "it holds a number of thousands of digits"
        return UnreadableItem(_name_in(item), reason)


def _name_in(item: str) -> str:
    """The value of the member `name` of an object, as far as it can be told."""
    depth, is_name = 0, False
    for token in _TOKEN.finditer(item):
        sign = token[0]
        depth += (sign in ("{", "[")) - (sign in ("}", "]"))
        if is_name and depth == 1 and sign[0] == '"':
            try:
                return str(decode(sign))
            except ValueError:
                return ""
        is_name = depth == 1 and sign == '"name"' and _COLON.match(item, token.end()) is not None
    return ""
