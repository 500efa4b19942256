"""Entries of a JSON document that may have comments and trailing commas, changed where they stand and nowhere else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from gateway.catalog.client_config.text_edit import TextEdit
from gateway.errors import InvalidInputError

_MAX_DEPTH = 200
_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+ | //[^\r\n]* | /\*.*?(?:\*/|\Z))
      | (?P<string>"(?:[^"\\]|\\.)*(?:"|\\?\Z))
      | (?P<mark>[{}\[\]:,])
      | (?P<scalar>[^\s"{}\[\]:,/]+)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(slots=True)
class _JsonMember:
    """A key of an object with the positions of its parts; `comma` is where the comma after it stands, if any."""

    key: str
    start: int
    value: _Value
    comma: int | None = None


@dataclass(slots=True)
class _Value:
    """A value from `start` to `end`; `members` are those of an object, None for anything else."""

    start: int
    end: int = -1
    members: list[_JsonMember] | None = None


def set_json_entry(text: str, place: tuple[str, ...], name: str, value: Any) -> list[TextEdit]:
    """The edits that put `value` under `name` into the object at `place`, which is made where it is missing.

    Raises InvalidInputError for a text that is no object, or has something else at `place`.
    """
    if not text.strip("\ufeff \t\r\n"):
        document: Any = {name: value}
        for step in reversed(place):
            document = {step: document}
        return [TextEdit(len(text), len(text), json.dumps(document, indent=2, ensure_ascii=False) + "\n")]
    current = _Scanner(text).document()
    steps = [*place, name]
    for position, step in enumerate(steps):
        if current.members is None:
            raise InvalidInputError(f"{'.'.join(steps[:position]) or 'The document'} is no JSON object.")
        member = next((each for each in current.members if each.key == step), None)
        if member is None:
            inserted = value
            for missing in reversed(steps[position + 1 :]):
                inserted = {missing: inserted}
            return _insert(text, current, step, inserted)
        if position == len(steps) - 1:
            start, end = member.value.start, member.value.end
            on_one_line = "\n" not in text[start:end]
            shown = (
                json.dumps(value, ensure_ascii=False)
                if on_one_line
                else _format(text, value, _indent(text, member.start))
            )
            return [TextEdit(start, end, shown)]
        current = member.value
    raise AssertionError("the name is always the last step")


def remove_json_entry(text: str, place: tuple[str, ...], name: str) -> list[TextEdit]:
    """The edits that take `name` out of the object at `place`; none where it is not there. Raises InvalidInputError."""
    if not text.strip("\ufeff \t\r\n"):
        return []
    current = _Scanner(text).document()
    for step in place:
        found = next((each for each in current.members or () if each.key == step), None)
        if found is None:
            return []
        current = found.value
    members = current.members or []
    index = next((index for index, each in enumerate(members) if each.key == name), None)
    if index is None:
        return []
    member = members[index]
    start = member.start
    while text[start - 1] in " \t":
        start -= 1
    if text[start - 1] == "\n":
        start -= 2 if text[start - 2 : start - 1] == "\r" else 1
    end = member.value.end if member.comma is None else member.comma + 1
    edits = [TextEdit(start, end, "")]
    previous = members[index - 1] if index else None
    if member.comma is None and previous is not None and previous.comma is not None:
        edits.insert(0, TextEdit(previous.comma, previous.comma + 1, ""))
    return edits


def _insert(text: str, parent: _Value, key: str, value: Any) -> list[TextEdit]:
    assert parent.members is not None
    outer = _indent(text, parent.start)
    if not parent.members:
        indent = outer + _indent_step(text)
        member = f"{json.dumps(key, ensure_ascii=False)}: {_format(text, value, indent)}"
        # Comments in an object that is otherwise empty stay where they are.
        inner = text[parent.start + 1 : parent.end - 1]
        after = "\n" + outer if not inner.strip() or "\n" not in inner else ""
        end = parent.end - 1 if not inner.strip() else parent.start + 1
        return [TextEdit(parent.start + 1, end, f"\n{indent}{member}{after}")]
    last = parent.members[-1]
    if "\n" not in text[parent.start : last.start]:
        member = f" {json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
        edits = [] if last.comma is not None else [TextEdit(last.value.end, last.value.end, ",")]
        position = last.value.end if last.comma is None else last.comma + 1
        return [*edits, TextEdit(position, position, member)]
    indent = _indent(text, last.start)
    member = f"\n{indent}{json.dumps(key, ensure_ascii=False)}: {_format(text, value, indent)}"
    edits = [] if last.comma is not None else [TextEdit(last.value.end, last.value.end, ",")]
    position = _after_comment(text, last.value.end if last.comma is None else last.comma + 1)
    return [*edits, TextEdit(position, position, member)]


def _after_comment(text: str, position: int) -> int:
    """The end of a comment that begins on the line of `position`, else `position`."""
    spaces = re.compile(r"[ \t]*").match(text, position)
    start = position if spaces is None else spaces.end()
    if text.startswith("//", start):
        match = re.compile(r"[^\r\n]*").match(text, start)
        return position if match is None else match.end()
    if text.startswith("/*", start):
        return text.find("*/", start) + 2
    return position


def _format(text: str, value: Any, indent: str) -> str:
    """`value` as it stands in a text whose line begins with `indent`."""
    lines = json.dumps(value, indent=_indent_step(text), ensure_ascii=False).split("\n")
    return ("\n" + indent).join(lines)


def _indent(text: str, position: int) -> str:
    """The spaces at the beginning of the line of `position`."""
    start = text.rfind("\n", 0, position) + 1
    match = re.compile(r"[ \t]*").match(text, start)
    return "" if match is None else match[0]


def _indent_step(text: str) -> str:
    """By how much the document is indented a level."""
    match = re.search(r"\n([ \t]+)[^\s]", text)
    return match[1] if match else "  "


@dataclass(slots=True)
class _Scanner:
    """Reads a document token by token and keeps where the parts of objects stand."""

    text: str
    position: int = 0
    depth: int = field(default=0)

    def document(self) -> _Value:
        value = self._value()
        if self._peek() is not None:
            raise self._error()
        return value

    def _value(self) -> _Value:
        kind, mark, start = self._next()
        if kind in ("string", "scalar"):
            return _Value(start, self.position)
        self.depth += 1
        if mark not in ("{", "[") or self.depth > _MAX_DEPTH:
            raise self._error()
        value = _Value(start, members=[] if mark == "{" else None)
        self._items(value, "}" if mark == "{" else "]")
        value.end = self.position
        self.depth -= 1
        return value

    def _items(self, parent: _Value, closing: str) -> None:
        while self._peek() != closing:
            member: _JsonMember | None = None
            if parent.members is None:
                self._value()
            else:
                kind, token, start = self._next()
                if kind != "string" or self._next()[1] != ":":
                    raise self._error()
                member = _JsonMember(self._key(token), start, self._value())
                parent.members.append(member)
            if self._peek() == ",":
                comma = self._next()[2]
                if member is not None:
                    member.comma = comma
            elif self._peek() != closing:
                raise self._error()
        self._next()

    def _key(self, token: str) -> str:
        try:
            return str(json.loads(token, strict=False))
        except ValueError:
            raise self._error() from None

    def _peek(self) -> str | None:
        """The mark that is next, "" for another token, None at the end."""
        while match := _TOKEN.match(self.text, self.position):
            if match.lastgroup != "space":
                return match[0] if match.lastgroup == "mark" else ""
            self.position = match.end()
        if self.position < len(self.text):
            raise self._error()
        return None

    def _next(self) -> tuple[str, str, int]:
        if self._peek() is None:
            raise self._error()
        match = _TOKEN.match(self.text, self.position)
        assert match is not None
        self.position = match.end()
        return str(match.lastgroup), match[0], match.start()

    def _error(self) -> InvalidInputError:
        line = self.text.count("\n", 0, self.position) + 1
        return InvalidInputError(f"This is not valid JSON at line {line}.")
