"""Encryption keys, from the settings or in a file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.vault import KeyFile, open_keys

KEY, FORMER = bytes(range(32)), bytes(32)


@pytest.mark.parametrize("configured", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_a_configured_key_is_hex_or_base64_and_may_have_a_former_one(tmp_path: Path, configured: str) -> None:
    assert list(open_keys(configured, "", tmp_path).read()) == [KEY]
    assert list(open_keys(configured, FORMER.hex(), tmp_path).read()) == [KEY, FORMER]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("configured", ["abc", KEY.hex()[:-2], "zz" * 32, base64.b64encode(KEY[:16]).decode()])
def test_a_key_of_another_form_is_refused_without_showing_it(tmp_path: Path, configured: str) -> None:
    for given in ((configured, ""), (KEY.hex(), configured)):
        with pytest.raises(SettingsError, match="has to be 32 bytes as 64 hex digits or in base64") as caught:
            open_keys(*given, tmp_path)
        assert configured not in caught.value.message


def test_a_former_key_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"goes with server\.encryption_key"):
        open_keys("", FORMER.hex(), tmp_path)


def test_without_a_key_one_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made = list(open_keys("", "", folder).read())
    file = folder / "encryption.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(open_keys("", "", folder).read()) == made
    assert list(open_keys(file.read_text().strip(), "", tmp_path).read()) == made


def test_a_key_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "encryption.key").mkdir()
    with pytest.raises(SettingsError, match=r"encryption\.key cannot be used"):
        open_keys("", "", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no key\n", b"\xff\xfe\x00", KEY])
def test_a_key_file_without_a_key_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "encryption.key").write_bytes(content)
    with pytest.raises(SettingsError, match="has to be 32 bytes as 64 hex digits or in base64"):
        open_keys("", "", tmp_path)


def test_a_rotation_of_the_file_is_seen_by_others_and_goes_on_after_it_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    mine, others = KeyFile(path), KeyFile(path)
    (former,) = others.read()
    mine.begin_rotation()
    new, second = others.read()
    assert second == former != new
    assert path.stat().st_mode & 0o777 == 0o600
    again = KeyFile(path)
    again.begin_rotation()
    assert list(others.read()) == [new, former]
    again.end_rotation()
    assert list(others.read()) == [new]
    assert [file.name for file in tmp_path.iterdir()] == ["encryption.key"]
