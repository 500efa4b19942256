"""One setting: what a value of it may be, and what is said of one that may not."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.errors import SettingsError
from gateway.masking import MASK, url_without_secrets
from gateway.settings.sections import Settings

_OUT_OF_BOUNDS = ("greater_than_equal", "less_than_equal")


class Setting:
    """A field of a section, with the type that its values have."""

    def __init__(self, section: str, key: str, annotation: Any) -> None:
        self.name = f"{section}.{key}"
        self._annotation = annotation

    @property
    def is_secret(self) -> bool:
        return self._schema.get("format") == "password"

    def parse(self, raw: Any, source: str) -> Any:
        """`raw` as a value of this setting. A text may stand for any value, as the environment has nothing else: a
        list is written with commas.

        `source` says where `raw` was found, for the SettingsError that tells what it was and what it may be.
        """
        value = raw
        if self._schema["type"] == "array":
            value = [item.strip() for item in raw.split(",") if item.strip()] if isinstance(raw, str) else raw
            value = tuple(value) if isinstance(value, list) else value
        try:
            if isinstance(value, str):
                return self._adapter.validate_strings(value)
            return self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            expected = self._expected(with_bounds=error.errors()[0]["type"] in _OUT_OF_BOUNDS)
            given = "" if self.is_secret else f", not {raw!r}"
            raise SettingsError(f"{source}: {self.name} has to be {expected}{given}.") from None

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._annotation)

    @cached_property
    def _schema(self) -> dict[str, Any]:
        return self._adapter.json_schema()

    def _expected(self, *, with_bounds: bool) -> str:
        """What a value may be, in words; the bounds of a number only where they are what is wrong."""
        schema = self._schema
        if "enum" in schema:
            return f"one of {', '.join(schema['enum'])}"
        words = {
            "string": "a string",
            "array": "a list of strings",
            "boolean": "true or false",
            "integer": "a whole number",
            "number": "a number",
        }[schema["type"]]
        if not with_bounds:
            return words
        if "maximum" in schema:
            return f"{words} from {schema['minimum']} to {schema['maximum']}"
        return f"{words} of at least {schema['minimum']}"


class TableSetting(Setting):
    """A setting whose values are tables, `[[section.key]]` in the file and a list of objects as JSON in the
    environment; each is a `row`, a dataclass.
    """

    def __init__(self, section: str, key: str, row: type[Any]) -> None:
        super().__init__(section, key, tuple[Any, ...])
        self._row = row
        self._columns = {
            column: Setting(self.name, column, annotation)
            for column, annotation in typing.get_type_hints(row, include_extras=True).items()
        }

    @property
    def is_secret(self) -> bool:
        return False

    def parse(self, raw: Any, source: str) -> Any:
        value = raw
        if isinstance(raw, str):
            try:
                value = json.loads(raw or "[]")
            except ValueError:
                value = None
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise SettingsError(f"{source}: {self.name} has to be a list of tables, written [[{self.name}]].")
        return tuple(self._parse_row(table, source) for table in value)

    def mask(self, value: Sequence[Any]) -> list[dict[str, Any]]:
        """The tables as plain values; in place of a secret that is set stand asterisks."""
        return [
            {key: MASK if each and self._columns[key].is_secret else each for key, each in table.items()}
            for table in value
        ]

    def _parse_row(self, table: Mapping[str, Any], source: str) -> Any:
        for key in table:
            if key not in self._columns:
                known = ", ".join(self._columns)
                raise SettingsError(f"{source}: unknown key {self.name}.{key}. Known: {known}.")
        return self._row(**{key: self._columns[key].parse(value, source) for key, value in table.items()})


@cache
def all_settings() -> Mapping[str, Mapping[str, Setting]]:
    """Every setting, by section and key."""
    return {
        section: {
            key: _setting(section, key, annotation)
            for key, annotation in typing.get_type_hints(kind, include_extras=True).items()
        }
        for section, kind in typing.get_type_hints(Settings).items()
    }


def mask_secrets(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings as plain values by section and key; in place of a secret that is set stand asterisks."""
    return {
        section: {
            key: _mask(all_settings()[section][key], value)
            for key, value in dataclasses.asdict(getattr(settings, section)).items()
        }
        for section in all_settings()
    }


def _setting(section: str, key: str, annotation: Any) -> Setting:
    items = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and dataclasses.is_dataclass(items[0]):
        return TableSetting(section, key, items[0])  # type: ignore[arg-type]
    return Setting(section, key, annotation)


def _mask(setting: Setting, value: Any) -> Any:
    if isinstance(setting, TableSetting):
        return setting.mask(value)
    if setting.is_secret:
        return MASK if value else value
    if isinstance(value, tuple):
        return tuple(map(_without_password, value))
    return _without_password(value)


def _without_password(value: Any) -> Any:
    """An address that holds a password, where none belongs, without it; anything else as it is."""
    return url_without_secrets(value) if isinstance(value, str) and "://" in value and "@" in value else value
