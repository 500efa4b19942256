"""Listed items without optional fields that are null or of a wrong type: the strictest clients throw away a whole list
for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any], bool]

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def mend_tool_fields(tool: Mapping[str, Any]) -> Json:
    """A tool with fields that clients read; its schemas are left as they are."""
    # A description is what a model goes by: of another type, it is no reason to do without.
    fields = {**_COMMON, "description": _is_not_null, "annotations": _is_object, "execution": _is_object}
    mended = _mend(tool, fields)
    _mend_inside(mended, "annotations", {"title": _is_text, **dict.fromkeys(_HINTS, _is_flag)})
    _mend_inside(mended, "execution", {"taskSupport": lambda value: value in ("forbidden", "optional", "required")})
    return mended


def mend_prompt(prompt: Mapping[str, Any]) -> Json:
    """A prompt with fields that clients read; an argument without a name is left out."""
    mended = _mend(prompt, {**_COMMON, "arguments": _is_list})
    if "arguments" in mended:
        argument: Mapping[str, Check] = {"title": _is_text, "description": _is_text, "required": _is_flag}
        mended["arguments"] = [
            _mend(each, argument)
            for each in mended["arguments"]
            if isinstance(each, dict) and isinstance(each.get("name"), str)
        ]
    return mended


def mend_resource(resource: Mapping[str, Any]) -> Json:
    """A resource, or a template of resources, with fields that clients read; without a name it goes by its address."""
    fields = {**_COMMON, "mimeType": _is_text, "size": _is_whole, "annotations": _is_object}
    mended = _mend(resource, fields)
    _mend_inside(mended, "annotations", {"audience": _is_audience, "priority": _is_priority, "lastModified": _is_text})
    if not _is_text(mended.get("name")):
        mended["name"] = mended.get("uri") or mended.get("uriTemplate") or ""
    return mended


def _mend(item: Mapping[str, Any], fields: Mapping[str, Check]) -> Json:
    mended = {key: value for key, value in item.items() if key not in fields or fields[key](value)}
    if fields.get("icons") is not None and "icons" in mended:
        mended["icons"] = [_mend(icon, _ICON) for icon in mended["icons"] if _is_icon(icon)]
    return mended


def _mend_inside(item: Json, field: str, fields: Mapping[str, Check]) -> None:
    if field in item:
        item[field] = _mend(item[field], fields)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_not_null(value: object) -> bool:
    return value is not None


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_priority(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_audience(value: object) -> bool:
    return isinstance(value, list) and all(part in ("user", "assistant") for part in value)


def _is_icon(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("src"), str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


_COMMON: Mapping[str, Check] = {"title": _is_text, "description": _is_text, "icons": _is_list, "_meta": _is_object}
_ICON: Mapping[str, Check] = {
    "mimeType": _is_text,
    "sizes": _are_texts,
    "theme": lambda value: value in ("light", "dark"),
}
