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
        self._lines = text.splitlines()
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
        return f"{self._path}, line {self._line_of(section, key)}"

    def _line_of(self, section: str | None, key: str) -> int:
        """The line (from 1) on which `key` is set; TOML parsers do not tell."""
        current: str | None = None
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*\[\s*([A-Za-z0-9_.\"'-]+)\s*\]", line)
            if header:
                current = header[1].strip("\"'")
                if section is None and current.split(".")[0] == key:
                    return number
                continue
            name = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
            if name and current == section and name[1].strip("\"'").split(".")[0] == key:
                return number
            if name and section is not None and name[1] == f"{section}.{key}":
                return number
        return 1
