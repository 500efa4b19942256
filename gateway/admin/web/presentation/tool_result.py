"""What a tool answered, part by part, as a page can show it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_SOUNDS = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/webm", "audio/mp4", "audio/flac")
_LARGEST_MEDIA = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ResultPart:
    """One part. `text` is what stands there: a text, an address, or the base64 of a picture or sound."""

    kind: Literal["text", "json", "picture", "sound", "link", "other"]
    label: str
    text: str
    media_type: str = ""


def result_parts(result: Any) -> list[ResultPart]:
    """The parts of the result of tools/call, in their order, structured content last."""
    if not isinstance(result, dict):
        return [ResultPart("json", "Result", json.dumps(result, indent=2, ensure_ascii=False))]
    content = result.get("content")
    parts = [_part(each) for each in content] if isinstance(content, list) else []
    if "structuredContent" in result:
        parts.append(ResultPart("json", "Structured content", _indented(result["structuredContent"])))
    return parts


def _part(part: Any) -> ResultPart:
    if not isinstance(part, dict):
        return ResultPart("other", "Unknown", _indented(part))
    kind = part.get("type")
    text = part.get("text")
    if kind == "text" and isinstance(text, str):
        return _text("Text", text)
    data, media_type = part.get("data"), part.get("mimeType")
    if kind in ("image", "audio") and isinstance(data, str) and len(data) <= _LARGEST_MEDIA:
        if media_type in _PICTURES:
            return ResultPart("picture", "Picture", data, str(media_type))
        if media_type in _SOUNDS:
            return ResultPart("sound", "Sound", data, str(media_type))
    if kind == "resource_link":
        return ResultPart("link", str(part.get("title") or part.get("name") or "Resource"), str(part.get("uri", "")))
    resource = part.get("resource")
    if kind == "resource" and isinstance(resource, dict) and isinstance(resource.get("text"), str):
        return _text(str(resource.get("uri", "Resource")), resource["text"])
    return ResultPart("other", str(kind or "Unknown"), _indented(part))


def _text(label: str, text: str) -> ResultPart:
    """Text, laid out where it is JSON."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return ResultPart("json", label, _indented(json.loads(text)))
        except (ValueError, RecursionError):
            pass
    return ResultPart("text", label, text)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
