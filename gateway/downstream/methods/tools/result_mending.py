"""Making the result of a call one that every client takes, where that loses nothing of what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.json_codec import encode

_FIELDS: Mapping[str, tuple[tuple[str, type], ...]] = {
    "text": (("text", str),),
    "image": (("data", str), ("mimeType", str)),
    "audio": (("data", str), ("mimeType", str)),
    "resource": (("resource", dict),),
    "resource_link": (("uri", str), ("name", str)),
}
"""What clients want to find in a block of each kind; what they find in one of another kind is theirs to say."""
_TRUE = (True, "true", "True", 1)


def mend_result(result: dict[str, Any]) -> dict[str, Any]:
    """A result with a list of blocks as its `content`, each with the fields of its kind, and without optional fields
    that are of a wrong type; the very same where it is so already, or is no complete one.
    """
    if result.get("resultType", "complete") != "complete":
        return result
    content = result.get("content")
    if not isinstance(content, list):
        result = {**result, "content": [] if content is None else [_block(content)]}
    elif not all(map(_is_block, content)):
        result = {**result, "content": [_block(item) for item in content if item is not None]}
    if "isError" in result and not isinstance(result["isError"], bool):
        result = {**result, "isError": result["isError"] in _TRUE}
    dropped = [
        key
        for key, value in result.items()
        if (key == "_meta" and not isinstance(value, dict)) or (key == "structuredContent" and value is None)
    ]
    return {key: value for key, value in result.items() if key not in dropped} if dropped else result


def _is_block(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if not isinstance(kind, str):
        return False
    return all(isinstance(item.get(name), wanted) for name, wanted in _FIELDS.get(kind, ()))


def _block(item: object) -> dict[str, Any]:
    """`item` as a block: as it is, as the text that it is or has, else as its JSON."""
    if isinstance(item, dict):
        if _is_block(item):
            return item
        if item.get("type", "text") == "text" and isinstance(item.get("text"), str):
            return {**item, "type": "text"}
    text = item if isinstance(item, str) else encode(item).decode()
    return {"type": "text", "text": text}
