"""The file of settings: where its keys stand, and what is said of one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings.config_file import ConfigFile


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        ConfigFile.read(path)
    return caught.value.message


def test_a_file_that_is_missing_or_no_toml_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert refusal(missing) == f"The settings file {missing} does not exist; create it or name another with --config."
    path = tmp_path / "config.toml"
    path.write_text("[server\n", encoding="utf-8")
    assert refusal(path).startswith(f"The settings file {path} is not valid TOML: ")
    path.write_bytes(b"\xff\xfe")
    assert refusal(path).startswith(f"The settings file {path} cannot be read: ")
    assert refusal(tmp_path).startswith(f"The settings file {tmp_path} cannot be read: ")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# mine\n[server]\n\nport = 1\n", {"server": 2, "server.port": 4}),
        ('[a]\nport = 1\n[ "b" ]\n  "port" = 2\n', {"a": 1, "a.port": 2, "b": 3, "b.port": 4}),
        ("server.port = 1\n", {"server": 1, "server.port": 1}),
        ("server = 5\n", {"server": 1}),
    ],
)
def test_every_key_has_the_line_that_it_stands_on(tmp_path: Path, text: str, lines: dict[str, int]) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    file = ConfigFile.read(path)
    found = {}
    for section in file.sections():
        found[section.key] = section.source
        if isinstance(section.value, dict):
            found |= {f"{section.key}.{entry.key}": entry.source for entry in file.settings(section)}
    assert found == {key: f"{path}, line {line}" for key, line in lines.items()}
