"""How two definitions of a tool differ, field by field, and whether that breaks those who call it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["added", "removed", "changed", "renamed"]

_SHOWN_CHARACTERS = 300
_KEPT_CHARACTERS = 2_000
# Keywords that explain and do not restrict.
_PROSE = {
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
# Limits that shut out values when they rise, and those that do when they fall.
_FLOORS = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"}
_CEILINGS = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: `path` is a JSON pointer, `before` and `after` its values, None where there is none.

    `renamed` is a parameter whose schema stayed; `before` and `after` are its names. `breaking`: a call or a reading of
    results that fitted before may not fit now.
    """

    path: str
    kind: Kind
    before: Any
    after: Any
    breaking: bool

    def readable(self) -> str:
        """One line."""
        name = self.path.lstrip("/") or "definition"
        mark = " (breaking)" if self.breaking else ""
        if self.kind == "renamed":
            return f"{name}: {self.before} is called {self.after} now{mark}"
        if self.kind == "added":
            return f"+ {name}: {_shown(self.after)}{mark}"
        if self.kind == "removed":
            return f"- {name}: {_shown(self.before)}{mark}"
        return f"~ {name}: {_shown(self.before)} → {_shown(self.after)}{mark}"

    def stored(self) -> dict[str, Any]:
        """As JSON, long values cut."""
        return {
            "path": self.path,
            "kind": self.kind,
            "before": _cut(self.before),
            "after": _cut(self.after),
            "breaking": self.breaking,
        }


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Every field in which two definitions of a tool differ, in the order of the fields."""
    changes: list[FieldChange] = []
    for key in _keys(before, after):
        was, now = before.get(key, _MISSING), after.get(key, _MISSING)
        if was == now and _same_kind(was, now):
            continue
        path = f"/{_escaped(key)}"
        if key in ("inputSchema", "outputSchema") and isinstance(was, Mapping) and isinstance(now, Mapping):
            _schema(path, was, now, changes, taken=key == "inputSchema")
        elif key == "annotations" and isinstance(was, Mapping) and isinstance(now, Mapping):
            for name in _keys(was, now):
                _plain(f"{path}/{_escaped(name)}", was.get(name, _MISSING), now.get(name, _MISSING), changes)
        else:
            # Who reads structured results cannot do without the schema; who gets one more is not harmed.
            _plain(path, was, now, changes, breaking=key == "outputSchema" and now is _MISSING)
    return tuple(changes)


def _schema(
    path: str, was: Mapping[str, Any], now: Mapping[str, Any], changes: list[FieldChange], *, taken: bool
) -> None:
    """Differences of two schemas; `taken`: of what is taken from callers, else of what is returned to them."""
    for key in _keys(was, now):
        before, after = was.get(key, _MISSING), now.get(key, _MISSING)
        if before == after and _same_kind(before, after):
            continue
        where = f"{path}/{_escaped(key)}"
        both = isinstance(before, Mapping) and isinstance(after, Mapping)
        if key in ("properties", "patternProperties", "$defs", "definitions") and both:
            _properties(where, before, after, changes, taken=taken, named=key == "properties")
        elif key == "required":
            _required(where, _list(before), _list(after), changes, taken=taken)
        elif (
            key in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames") and both
        ):
            _schema(where, before, after, changes, taken=taken)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            _alternatives(
                where, _list(before), _list(after), changes, taken=taken, every=key in ("allOf", "prefixItems")
            )
        else:
            _plain(where, before, after, changes, breaking=_breaks(key, before, after, taken))


def _properties(
    path: str, was: Mapping[str, Any], now: Mapping[str, Any], changes: list[FieldChange], *, taken: bool, named: bool
) -> None:
    gone = [name for name in was if name not in now]
    come = [name for name in now if name not in was]
    for name in list(gone):
        twin = next((other for other in come if was[name] == now[other]), None)
        if twin is not None and named and was[name] not in ({}, True):
            gone.remove(name)
            come.remove(twin)
            changes.append(FieldChange(path, "renamed", name, twin, True))
    changes += [FieldChange(f"{path}/{_escaped(name)}", "removed", was[name], None, named) for name in gone]
    changes += [FieldChange(f"{path}/{_escaped(name)}", "added", None, now[name], False) for name in come]
    for name in was:
        if name in now and (was[name] != now[name] or not _same_kind(was[name], now[name])):
            where = f"{path}/{_escaped(name)}"
            if isinstance(was[name], Mapping) and isinstance(now[name], Mapping):
                _schema(where, was[name], now[name], changes, taken=taken)
            else:
                _plain(where, was[name], now[name], changes, breaking=True)


def _required(path: str, was: Sequence[Any], now: Sequence[Any], changes: list[FieldChange], *, taken: bool) -> None:
    for name in now:
        if name not in was:
            changes.append(FieldChange(f"{path}/{_escaped(str(name))}", "added", None, name, taken))
    for name in was:
        if name not in now:
            changes.append(FieldChange(f"{path}/{_escaped(str(name))}", "removed", name, None, not taken))


def _alternatives(
    path: str, was: Sequence[Any], now: Sequence[Any], changes: list[FieldChange], *, taken: bool, every: bool
) -> None:
    for position in range(max(len(was), len(now))):
        before = was[position] if position < len(was) else _MISSING
        after = now[position] if position < len(now) else _MISSING
        if before == after and _same_kind(before, after):
            continue
        where = f"{path}/{position}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            _schema(where, before, after, changes, taken=taken)
        else:
            # One more way to call harms nobody, nor does one way less to be answered; one more condition does.
            narrower = before is _MISSING if every or not taken else after is _MISSING
            _plain(where, before, after, changes, breaking=narrower)


def _breaks(key: str, before: Any, after: Any, taken: bool) -> bool:
    """Whether a keyword's change shuts out a value that callers send, or lets in one that they do not expect."""
    if key in _PROSE:
        return False
    narrower, wider = _narrowed(key, before, after)
    return narrower if taken else wider


def _narrowed(key: str, before: Any, after: Any) -> tuple[bool, bool]:
    """Whether there are values that fit no more, and values that fit now and did not."""
    if key == "type":
        was, now = _types(before), _types(after)
        return not was <= now, not now <= was
    if key == "enum":
        was_values, now_values = _texts(before), _texts(after)
        if before is _MISSING or after is _MISSING:
            return before is _MISSING, after is _MISSING
        return not was_values <= now_values, not now_values <= was_values
    if key == "additionalProperties":
        was_open, now_open = before is not False, after is not False
        return was_open and not now_open, now_open and not was_open
    if key in _FLOORS | _CEILINGS:
        if before is _MISSING or after is _MISSING:
            return before is _MISSING, after is _MISSING
        if isinstance(before, int | float) and isinstance(after, int | float):
            rises = after > before
            return (rises, not rises) if key in _FLOORS else (not rises, rises)
    return after is not _MISSING, before is not _MISSING


def _types(value: Any) -> set[str]:
    names = {"null", "boolean", "object", "array", "number", "integer", "string"} if value is _MISSING else set()
    names |= {name for name in _list(value) if isinstance(name, str)}
    return names | ({"integer"} if "number" in names else set())


def _plain(path: str, before: Any, after: Any, changes: list[FieldChange], *, breaking: bool = False) -> None:
    if before is _MISSING and after is _MISSING:
        return
    if before is not _MISSING and after is not _MISSING and before == after and _same_kind(before, after):
        return
    kind: Kind = "added" if before is _MISSING else "removed" if after is _MISSING else "changed"
    changes.append(
        FieldChange(path, kind, None if before is _MISSING else before, None if after is _MISSING else after, breaking)
    )


def _same_kind(before: Any, after: Any) -> bool:
    """Whether two equal values are equal in JSON too, where true is not 1."""
    return isinstance(before, bool) == isinstance(after, bool)


def _keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _list(value: Any) -> list[Any]:
    return [] if value is _MISSING else value if isinstance(value, list) else [value]


def _texts(value: Any) -> set[str]:
    return {json.dumps(item, sort_keys=True) for item in _list(value)}


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return (
        json.dumps(text, ensure_ascii=False)[1:-1] if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    )


def _cut(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _KEPT_CHARACTERS else f"{text[:_KEPT_CHARACTERS]}…"
