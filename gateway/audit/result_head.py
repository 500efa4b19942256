"""The head of a call's result, as much of it as the audit log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.json_codec import encode

_MAX_PARTS = 10
_PART_CHARACTERS = 8_000


def result_head(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of a result's content, in its order and cut; of what is no text its kind and its media type."""
    content = result.get("content")
    parts = [_part(item) for item in content[:_MAX_PARTS]] if isinstance(content, list) else []
    if not any(parts) and result.get("structuredContent") is not None:
        parts = [encode(result["structuredContent"]).decode(errors="replace")[:_PART_CHARACTERS]]
    return tuple(part for part in parts if part)


def _part(item: object) -> str:
    if not isinstance(item, Mapping):
        return ""
    text = item.get("text")
    if isinstance(text, str):
        return text[:_PART_CHARACTERS]
    described = " ".join(
        str(item[name])[:100] for name in ("type", "mimeType", "uri") if isinstance(item.get(name), str)
    )
    return f"[{described}]"
