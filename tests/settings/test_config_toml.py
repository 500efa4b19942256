"""config.toml shows every setting with its default."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from gateway.settings import LoadedSettings, Settings, load_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = Path(__file__).parents[2] / "config.toml"


def test_every_setting_is_in_the_file() -> None:
    written = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    known = {
        section.name: {key.name for key in dataclasses.fields(getattr(Settings(), section.name))}
        for section in dataclasses.fields(Settings)
    }
    assert {section: set(keys) for section, keys in written.items()} == known


def test_the_values_in_the_file_are_the_defaults() -> None:
    assert load_settings(CONFIG, environ={}) == LoadedSettings()


def test_every_setting_in_the_file_has_a_comment() -> None:
    settings = [line for line in CONFIG.read_text(encoding="utf-8").splitlines() if " = " in line.split("#")[0]]
    assert settings
    assert [line for line in settings if "# " not in line] == []
