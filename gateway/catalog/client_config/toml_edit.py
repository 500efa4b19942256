"""Tables of a TOML document, changed where they stand and nowhere else."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.catalog.client_config.text_edit import TextEdit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def format_toml_table(path: tuple[str, ...], values: Mapping[str, Any]) -> str:
    """A table with its header, tables in it as inline ones, ending with a line break."""
    lines = [f"[{'.'.join(_key(step) for step in path)}]"]
    lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def set_toml_entry(text: str, place: tuple[str, ...], name: str, value: Mapping[str, Any]) -> list[TextEdit]:
    """The edits that put `value` as a table of its own at `place`.`name`, at the end where there is none."""
    table = format_toml_table((*place, name), value)
    span = _table_span(text, (*place, name))
    if span is not None:
        return [TextEdit(*span, table)]
    gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
    return [TextEdit(len(text), len(text), gap + table)]


def remove_toml_entry(text: str, place: tuple[str, ...], name: str) -> list[TextEdit]:
    """The edits that take out the table `place`.`name` with the tables in it; none where it is not there."""
    span = _table_span(text, (*place, name))
    if span is None:
        return []
    start, end = span
    # The empty line that set it apart goes with it.
    for gap in ("\r\n", "\n"):
        if text[:start].endswith(gap * 2):
            start -= len(gap)
            break
    return [TextEdit(start, end, "")]


def _table_span(text: str, path: tuple[str, ...]) -> tuple[int, int] | None:
    """From the header of a table to behind the last line that belongs to it or to a table in it."""
    start: int | None = None
    end = 0
    inside = False
    for line_start, line, header in _lines(text):
        if header is not None:
            inside = header[: len(path)] == path
            if start is not None and not inside:
                break
            if inside and start is None:
                start = line_start
        # Comments and empty lines before the next table are about that.
        if inside and line.strip() and not line.lstrip().startswith("#"):
            end = line_start + len(line)
    return None if start is None else (start, end)


def _lines(text: str) -> Iterator[tuple[int, str, tuple[str, ...] | None]]:
    """Each line with its start, its line break, and the path of the table that it begins; None inside of one."""
    position = 0
    quotes: str | None = None
    for line in text.splitlines(keepends=True):
        yield position, line, _header(line) if quotes is None else None
        position += len(line)
        quotes = _open_quotes(line, quotes)


def _header(line: str) -> tuple[str, ...] | None:
    """The path of the table that a line begins; None where it begins none."""
    if not line.lstrip().startswith("["):
        return None
    try:
        document: Any = tomllib.loads(line)
    except ValueError:
        return None
    path: list[str] = []
    while document:
        document = document[0] if isinstance(document, list) else document
        for key, inner in document.items():
            path.append(key)
            document = inner
    return tuple(path)


def _open_quotes(line: str, quotes: str | None) -> str | None:
    """Which kind of text over several lines is open at the end of a line that began within `quotes`."""
    position = 0
    while position < len(line):
        if quotes is not None:
            end = line.find(quotes, position)
            if end < 0:
                return quotes
            position, quotes = end + 3, None
            continue
        match = re.compile(r"[^\"'#]*(\"\"\"|'''|\"(?:[^\"\\]|\\.)*\"|'[^']*'|#|\"|'|\Z)", re.DOTALL).match(
            line, position
        )
        if match is None or match[1] in ("#", ""):
            return None
        position = match.end()
        if match[1] in ('"""', "'''"):
            quotes = match[1]
    return quotes


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    # What JSON writes of texts, numbers, truth and lists of these is TOML too.
    return json.dumps(value, ensure_ascii=False)
