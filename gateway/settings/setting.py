"""One setting: what a value of it may be, and what is said of one that may not."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.errors import SettingsError
from gateway.masking import MASK
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


@cache
def all_settings() -> Mapping[str, Mapping[str, Setting]]:
    """Every setting, by section and key."""
    return {
        section: {
            key: Setting(section, key, annotation)
            for key, annotation in typing.get_type_hints(kind, include_extras=True).items()
        }
        for section, kind in typing.get_type_hints(Settings).items()
    }


def mask_secrets(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings as plain values by section and key; in place of a secret that is set stand asterisks."""
    return {
        section: {
            key: MASK if value and all_settings()[section][key].is_secret else value
            for key, value in dataclasses.asdict(getattr(settings, section)).items()
        }
        for section in all_settings()
    }
