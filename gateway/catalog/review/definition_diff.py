"""How two definitions of a tool differ, field by field, and whether that breaks those who call it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from gateway.catalog.definition_hash import canonical_definition, hash_definition
from gateway.json_pointer import join_pointer

FieldChangeKind = Literal["added", "removed", "changed", "renamed"]

_MAX_SHOWN_CHARACTERS = 300
_MAX_STORED_CHARACTERS = 2_000
# Keywords that explain and do not restrict.
_ANNOTATIONS = {
    "description",
    "title",
    "examples",
    "default",
    "deprecated",
    "$comment",
    "$schema",
    "$id",
    "readOnly",
    "writeOnly",
}
_SUBSCHEMAS = {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}
# Limits that shut out values when they rise, and those that do when they fall.
_LOWER_LIMITS = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"}
_UPPER_LIMITS = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"}
_MISSING = object()

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: `path` is a JSON pointer, `before` and `after` its values, None where there is none.

    `renamed` is a parameter whose schema stayed; `before` and `after` are its names. `breaking`: a call or a reading of
    results that fitted before may not fit now.
    """

    path: str
    kind: FieldChangeKind
    before: Any
    after: Any
    breaking: bool

    def describe(self) -> str:
        """The change in one line."""
        name = self.path.lstrip("/") or "definition"
        mark = " (breaking)" if self.breaking else ""
        if self.kind == "renamed":
            return f"{name}: {self.before} is called {self.after} now{mark}"
        if self.kind == "added":
            return f"+ {name}: {_format_value(self.after)}{mark}"
        if self.kind == "removed":
            return f"- {name}: {_format_value(self.before)}{mark}"
        return f"~ {name}: {_format_value(self.before)} → {_format_value(self.after)}{mark}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, long ones cut."""
        return {
            "path": self.path,
            "kind": self.kind,
            "before": _truncated(self.before),
            "after": _truncated(self.after),
            "breaking": self.breaking,
        }


def diff_definitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Every field in which two definitions of a tool mean something else, in the order of the fields."""
    return tuple(
        _diff_fields(
            canonical_definition(before, sort_alternatives=False), canonical_definition(after, sort_alternatives=False)
        )
    )


def _diff_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for key, was, now in _differing(before, after):
        path = join_pointer("", key)
        both = isinstance(was, Mapping) and isinstance(now, Mapping)
        if key in ("inputSchema", "outputSchema") and both:
            yield from _diff_schemas(path, was, now, of_input=key == "inputSchema")
        elif key == "annotations" and both:
            for name, value, new_value in _differing(was, now):
                yield _change(join_pointer(path, name), value, new_value)
        else:
            # Who reads structured results cannot do without the schema; who gets one more is not harmed.
            yield _change(path, was, now, breaking=key == "outputSchema" and now is _MISSING)


def _diff_schemas(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], *, of_input: bool
) -> Iterator[FieldChange]:
    """Differences of two schemas; `of_input`: of what is taken from callers, else of what is returned to them."""
    for key, was, now in _differing(before, after):
        below = join_pointer(path, key)
        both = isinstance(was, Mapping) and isinstance(now, Mapping)
        if key in ("properties", "patternProperties", "$defs", "definitions") and both:
            yield from _diff_properties(below, was, now, of_input=of_input, named=key == "properties")
        elif key == "required":
            yield from _diff_required(below, _as_list(was), _as_list(now), of_input=of_input)
        elif key in _SUBSCHEMAS and both:
            yield from _diff_schemas(below, was, now, of_input=of_input)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            every = key in ("allOf", "prefixItems")
            yield from _diff_alternatives(
                below, _as_list(was), _as_list(now), of_input=of_input, every=every, ordered=key == "prefixItems"
            )
        else:
            yield _change(below, was, now, breaking=_is_breaking(key, was, now, of_input))


def _diff_properties(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], *, of_input: bool, named: bool
) -> Iterator[FieldChange]:
    """Differences of schemas by name; `named`: by names that callers send, so that one may have got another."""
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    for name in list(removed):
        same = next((other for other in added if _equal(before[name], after[other])), None)
        if same is not None and named and before[name] not in ({}, True):
            removed.remove(name)
            added.remove(same)
            yield FieldChange(path, "renamed", name, same, True)
    for name in removed:
        yield FieldChange(join_pointer(path, name), "removed", before[name], None, named)
    for name in added:
        yield FieldChange(join_pointer(path, name), "added", None, after[name], False)
    for name, was, now in _differing(before, {name: after[name] for name in before if name in after}):
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _diff_schemas(join_pointer(path, name), was, now, of_input=of_input)
        elif now is not _MISSING:
            yield _change(join_pointer(path, name), was, now, breaking=True)


def _diff_required(path: str, before: Sequence[Any], after: Sequence[Any], *, of_input: bool) -> Iterator[FieldChange]:
    for name in after:
        if name not in before:
            yield FieldChange(join_pointer(path, str(name)), "added", None, name, of_input)
    for name in before:
        if name not in after:
            yield FieldChange(join_pointer(path, str(name)), "removed", name, None, not of_input)


def _diff_alternatives(
    path: str, before: Sequence[Any], after: Sequence[Any], *, of_input: bool, every: bool, ordered: bool
) -> Iterator[FieldChange]:
    """Differences of two lists of schemas, of which a value has to fit one, or `every` one."""
    for position, was, now in _differing_alternatives(before, after, ordered=ordered):
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _diff_schemas(join_pointer(path, position), was, now, of_input=of_input)
        else:
            # One more way to call harms nobody, nor does one way less to be answered; one more condition does.
            narrower = was is _MISSING if every or not of_input else now is _MISSING
            yield _change(join_pointer(path, position), was, now, breaking=narrower)


def _differing_alternatives(
    before: Sequence[Any], after: Sequence[Any], *, ordered: bool
) -> Iterator[tuple[int, Any, Any]]:
    """Places and schemas that differ: the same schema at another place is no difference, unless they are `ordered`."""
    if ordered:
        yield from _differing(dict(enumerate(before)), dict(enumerate(after)))
        return
    left, added = list(enumerate(before)), []
    for position, schema in enumerate(after):
        same = next(
            (
                each
                for each in left
                if hash_definition({"inputSchema": each[1]}) == hash_definition({"inputSchema": schema})
            ),
            None,
        )
        if same is not None:
            left.remove(same)
        else:
            added.append((position, schema))
    for number in range(max(len(left), len(added))):
        position, was = left[number] if number < len(left) else (added[number][0], _MISSING)
        yield position, was, added[number][1] if number < len(added) else _MISSING


def _is_breaking(key: str, before: Any, after: Any, of_input: bool) -> bool:
    """Whether a keyword's change shuts out a value that callers send, or lets in one that they do not expect."""
    if key in _ANNOTATIONS:
        return False
    narrower, wider = _narrows_or_widens(key, before, after)
    return narrower if of_input else wider


def _narrows_or_widens(key: str, before: Any, after: Any) -> tuple[bool, bool]:
    """Whether there are values that fit no more, and values that fit now and did not."""
    if key == "type":
        was, now = _type_names(before), _type_names(after)
        return not was <= now, not now <= was
    if key == "enum":
        was_values, now_values = _as_json_texts(before), _as_json_texts(after)
        if before is _MISSING or after is _MISSING:
            return before is _MISSING, after is _MISSING
        return not was_values <= now_values, not now_values <= was_values
    if key == "additionalProperties":
        was_open, now_open = before is not False, after is not False
        return was_open and not now_open, now_open and not was_open
    if key in _LOWER_LIMITS | _UPPER_LIMITS:
        if before is _MISSING or after is _MISSING:
            return before is _MISSING, after is _MISSING
        if isinstance(before, int | float) and isinstance(after, int | float):
            rises = after > before
            return (rises, not rises) if key in _LOWER_LIMITS else (not rises, rises)
    return after is not _MISSING, before is not _MISSING


def _type_names(value: Any) -> set[str]:
    names = {"null", "boolean", "object", "array", "number", "integer", "string"} if value is _MISSING else set()
    names |= {name for name in _as_list(value) if isinstance(name, str)}
    return names | ({"integer"} if "number" in names else set())


def _change(path: str, before: Any, after: Any, *, breaking: bool = False) -> FieldChange:
    kind: FieldChangeKind = "added" if before is _MISSING else "removed" if after is _MISSING else "changed"
    return FieldChange(
        path, kind, None if before is _MISSING else before, None if after is _MISSING else after, breaking
    )


def _differing(before: Mapping[K, Any], after: Mapping[K, Any]) -> Iterator[tuple[K, Any, Any]]:
    """The keys under which two objects differ, with both values, _MISSING where there is none."""
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key, _MISSING), after.get(key, _MISSING)
        if not _equal(was, now):
            yield key, was, now


def _equal(before: Any, after: Any) -> bool:
    """Whether two values are the same JSON, in which true is not 1."""
    return bool(before == after) and json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _as_list(value: Any) -> list[Any]:
    return [] if value is _MISSING else value if isinstance(value, list) else [value]


def _as_json_texts(value: Any) -> set[str]:
    return {json.dumps(item, sort_keys=True) for item in _as_list(value)}


def _format_value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _MAX_SHOWN_CHARACTERS:
        return f"{text[:_MAX_SHOWN_CHARACTERS]}…"
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _truncated(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _MAX_STORED_CHARACTERS else f"{text[:_MAX_STORED_CHARACTERS]}…"
