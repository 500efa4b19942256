"""A tool in fewer words: its signature, its summary, and its schema without what tells a model nothing."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

_ELLIPSIS = "…"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n")
_SUBSCHEMAS = ("items", "additionalProperties")
_CONDITIONS = ("not", "if", "then", "else", "contains")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "patternProperties")
# What is referred to may be one of several alternatives.
_ALTERNATIVE_MAPS = ("$defs", "definitions", "dependentSchemas")
_KEPT_DIGESTS = 8_192
_MAX_DEPTH = 32
_MAX_TYPE_DEPTH = 3
_MAX_PARTS = 32
_TYPE_CHARACTERS = 40


def shorten(text: str, characters: int) -> str:
    """`text` within so many characters, cut at a word and marked where it is cut; its line breaks become blanks."""
    # Twice as much is looked at as can be kept: a text may be long, and blanks of it go.
    flat = " ".join(text[: characters * 2].split())
    if len(flat) <= characters and len(text) <= characters * 2:
        return flat
    cut = flat[: characters - 1]
    at_word = cut.rpartition(" ")[0]
    return (at_word if len(at_word) > characters // 2 else cut).rstrip(" ,;:.") + _ELLIPSIS


def summarize(description: str, characters: int = 100) -> str:
    """The first sentence of a description, within so many characters."""
    first = next((part for part in _SENTENCE_END.split(description[: characters * 8].strip()) if part.strip()), "")
    return shorten(first, characters)


@functools.lru_cache(maxsize=_KEPT_DIGESTS)
def compact_schema(schema_json: str) -> str:
    """The schema without `$schema`, `additionalProperties: false`, and titles that only repeat the key: never without
    what binds."""
    compact = _compact(json.loads(schema_json), None, 0)
    try:
        text = json.dumps(compact, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except ValueError:
        # Numbers that Python reads as infinite, and halves of surrogate pairs, keep the spelling they came in.
        return schema_json
    return text


@functools.lru_cache(maxsize=_KEPT_DIGESTS)
def signature_of(name: str, schema_json: str, characters: int = 300) -> str:
    """`create_issue(title: string, labels?: string[])` within so many characters: required parameters first, `…` where
    it is cut, and where the schema does not list all that there is."""
    schema = json.loads(schema_json)
    if len(name) + len(f"({_ELLIPSIS})") > characters:
        name = shorten(name, characters - len(f"({_ELLIPSIS})"))
    properties, names, has_others = _parameters(schema)
    if not properties:
        return f"{name}({_ELLIPSIS})" if has_others else f"{name}()"
    keys = sorted(properties, key=lambda key: key not in names)
    signature = f"{name}("
    for place, key in enumerate(keys):
        part = f"{', ' if place else ''}{key}{'' if key in names else '?'}: {_type_name(properties[key], schema)}"
        closing = ")" if place == len(keys) - 1 and not has_others else f", {_ELLIPSIS})"
        if len(signature) + len(part) + len(closing) > characters:
            return f"{signature}{', ' if place else ''}{_ELLIPSIS})"
        signature += part
    return f"{signature}{closing}"


def _parameters(schema: Any) -> tuple[dict[str, Any], set[str], bool]:
    """The parameters by name, those that are required, and whether there are or may be others.

    What the schema refers to and all parts of an `allOf` count; which of several alternatives holds, a call decides.
    """
    properties: dict[str, Any] = {}
    required: dict[str, Any] = {}
    has_others = False
    parts: list[Any] = [schema]
    seen: set[int] = set()
    while parts and len(seen) < _MAX_PARTS:
        part = parts.pop(0)
        if not isinstance(part, Mapping):
            has_others = has_others or part is None
            continue
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(own := part.get("properties"), Mapping):
            properties = {**own, **properties}
        if isinstance(names := part.get("required"), list):
            required |= {each: {} for each in names if isinstance(each, str)}
        if isinstance(reference := part.get("$ref"), str):
            parts.append(_referred(reference, schema))
        if isinstance(each := part.get("allOf"), list):
            parts += each[:_MAX_PARTS]
        alternatives = [each for word in ("oneOf", "anyOf") if isinstance(each := part.get(word), list)]
        has_others = has_others or any(_has_parameters(each, properties) for some in alternatives for each in some)
        if not properties and (part.get("additionalProperties") or part.get("patternProperties")):
            has_others = True
    return {**required, **properties}, set(required), has_others or bool(parts)


def _has_parameters(alternative: Any, known: Mapping[str, Any]) -> bool:
    """Whether it names parameters that are not known, or may."""
    if not isinstance(alternative, Mapping):
        return False
    if any(word in alternative for word in ("$ref", "allOf", "anyOf", "oneOf")):
        return True
    properties, required = alternative.get("properties"), alternative.get("required")
    names = [
        *(properties if isinstance(properties, Mapping) else ()),
        *(required if isinstance(required, list) else ()),
    ]
    return any(isinstance(name, str) and name not in known for name in names)


def _type_name(schema: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    if not isinstance(schema, Mapping) or depth > _MAX_TYPE_DEPTH:
        return "any"
    if isinstance(reference := schema.get("$ref"), str):
        return _type_name(_referred(reference, root), root, depth + 1)
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(options, list) and 0 < len(options) <= 6 and all(isinstance(option, str) for option in options):
        joined = "|".join(json.dumps(option, ensure_ascii=False) for option in options)
        if len(joined) <= 60:
            return joined
    kind = schema.get("type")
    if isinstance(kind, list):
        named = [each for each in kind if isinstance(each, str) and each != "null"]
        kind = named[0] if len(named) == 1 else "|".join(named[:6]) or "any"
    if kind == "array":
        items = _type_name(schema.get("items"), root, depth + 1)
        return f"({items})[]" if "|" in items else f"{items}[]"
    if isinstance(kind, str):
        return shorten(kind, _TYPE_CHARACTERS)
    for key in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(key)
        if isinstance(choices, list):
            names = [_type_name(choice, root, depth + 1) for choice in choices[:6]]
            return "|".join(dict.fromkeys(name for name in names if name != "null")) or "any"
    return "object" if "properties" in schema else "any"


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the same schema means; None for any other."""
    if not reference.startswith("#/"):
        return None
    part: Any = root
    for step in reference[2:].split("/", 4)[:4]:
        part = part.get(step) if isinstance(part, Mapping) else None
    return part


def _compact(schema: Any, key: str | None, depth: int, *, alternative: bool = False) -> Any:
    """`alternative`: within one of several schemas that are told apart by what they refuse."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema
    kept: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "$schema" or (word == "additionalProperties" and value is False and not alternative):
            continue
        if word == "title" and key is not None and isinstance(value, str) and _letters(value) == _letters(key):
            continue
        if word in (*_SUBSCHEMA_MAPS, *_ALTERNATIVE_MAPS) and isinstance(value, dict):
            one_of_several = alternative or word in _ALTERNATIVE_MAPS
            kept[word] = {
                name: _compact(part, name, depth + 1, alternative=one_of_several) for name, part in value.items()
            }
        elif word in _ALTERNATIVES and isinstance(value, list):
            kept[word] = [_compact(part, None, depth + 1, alternative=True) for part in value]
        elif word in _CONDITIONS:
            kept[word] = _compact(value, None, depth + 1, alternative=True)
        elif word in _SUBSCHEMAS:
            kept[word] = _compact(value, None, depth + 1, alternative=alternative)
        else:
            kept[word] = value
    return kept


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
