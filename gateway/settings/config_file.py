"""`config.toml`: its keys, each with the line that it stands on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"\s*\[{1,2}\s*([A-Za-z0-9_.\"'-]+)\s*\]")
_NAME = re.compile(r"\s*([A-Za-z0-9_\"'.-]+)\s*=")


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A top-level key of the file, or a key below it; `source` is the file and line, for messages."""

    source: str
    key: str
    value: Any


class ConfigFile:
    """A TOML file that has been read."""

    def __init__(self, path: Path, text: str, document: Mapping[str, Any]) -> None:
        self._path = path
        self._lines = _key_lines(text)
        self._document = document

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """The file at `path`. Raises SettingsError where it is missing, cannot be read, or is not TOML."""
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text, tomllib.loads(text))
        except FileNotFoundError:
            raise SettingsError(
                f"The settings file {path} does not exist; create it or name another with --config."
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"The settings file {path} cannot be read: {error}.") from None

    def sections(self) -> Iterator[ConfigEntry]:
        """What stands at the top, in order."""
        for name, value in self._document.items():
            yield ConfigEntry(self._source(None, name), name, value)

    def settings(self, section: ConfigEntry) -> Iterator[ConfigEntry]:
        """What stands in a section, in order."""
        for key, value in section.value.items():
            yield ConfigEntry(self._source(section.key, key), key, value)

    def _source(self, section: str | None, key: str) -> str:
        return f"{self._path}, line {self._lines.get((section, key), 1)}"


def _key_lines(text: str) -> dict[tuple[str | None, str], int]:
    """The line (from 1) on which each key is first set, by section and key, those of sections by None and name; TOML
    parsers do not tell.
    """
    found: dict[tuple[str | None, str], int] = {}
    current: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            current = header[1].strip("\"'")
            section, _, key = current.partition(".")
            found.setdefault((None, section), number)
            found.setdefault((section, key), number)
        elif name := _NAME.match(line):
            section, _, key = name[1].partition(".")
            found.setdefault((current, section.strip("\"'")), number)
            found.setdefault((section, key), number)
    return found
