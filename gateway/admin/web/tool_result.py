"""What a tool answered, part by part, as a page can show it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_SOUNDS = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/webm", "audio/mp4", "audio/flac")
_LARGEST_MEDIA = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """One part. `text` is what stands there: a text, an address, or the base64 of a picture or sound."""

    kind: Literal["text", "json", "picture", "sound", "link", "other"]
    label: str
    text: str
    media_type: str = ""


def shown_parts(result: Any) -> list[Shown]:
    """The parts of the result of tools/call, in their order, structured content last."""
    if not isinstance(result, dict):
        return [Shown("json", "Result", json.dumps(result, indent=2, ensure_ascii=False))]
    content = result.get("content")
    parts = [_part(each) for each in content] if isinstance(content, list) else []
    if "structuredContent" in result:
        parts.append(Shown("json", "Structured content", _pretty(result["structuredContent"])))
    return parts


def _part(part: Any) -> Shown:
    if not isinstance(part, dict):
        return Shown("other", "Unknown", _pretty(part))
    kind = part.get("type")
    text = part.get("text")
    if kind == "text" and isinstance(text, str):
        return _text("Text", text)
    data, media_type = part.get("data"), part.get("mimeType")
    if kind in ("image", "audio") and isinstance(data, str) and len(data) <= _LARGEST_MEDIA:
        if media_type in _PICTURES:
            return Shown("picture", "Picture", data, str(media_type))
        if media_type in _SOUNDS:
            return Shown("sound", "Sound", data, str(media_type))
    if kind == "resource_link":
        return Shown("link", str(part.get("title") or part.get("name") or "Resource"), str(part.get("uri", "")))
    resource = part.get("resource")
    if kind == "resource" and isinstance(resource, dict) and isinstance(resource.get("text"), str):
        return _text(str(resource.get("uri", "Resource")), resource["text"])
    return Shown("other", str(kind or "Unknown"), _pretty(part))


def _text(label: str, text: str) -> Shown:
    """Text, laid out where it is JSON."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return Shown("json", label, _pretty(json.loads(text)))
        except (ValueError, RecursionError):
            pass
    return Shown("text", label, text)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
