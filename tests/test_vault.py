"""Secrets at rest: sealed for one owner with one key."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.vault import Vault, open_vault

SECRET = {"env": {"TOKEN": "s3cret"}}
KEY = bytes(range(32))


def test_what_is_sealed_comes_back_for_its_owner_and_holds_nothing_readable() -> None:
    vault = Vault(KEY)
    sealed = vault.seal(SECRET, "Files")
    assert b"s3cret" not in sealed
    assert vault.open(sealed, "Files") == SECRET
    assert vault.seal(SECRET, "Files") != sealed


@pytest.mark.parametrize(("key", "owner"), [(KEY, "Other"), (bytes(32), "Files")])
def test_another_owner_or_another_key_opens_nothing(key: bytes, owner: str) -> None:
    sealed = Vault(KEY).seal(SECRET, "Files")
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        Vault(key).open(sealed, owner)


@pytest.mark.parametrize("configured", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_a_configured_key_is_hex_or_base64(tmp_path: Path, configured: str) -> None:
    sealed = Vault(KEY).seal(SECRET, "Files")
    assert open_vault(configured, tmp_path).open(sealed, "Files") == SECRET
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("configured", ["abc", KEY.hex()[:-2], "zz" * 32, base64.b64encode(KEY[:16]).decode()])
def test_a_key_of_another_form_is_refused_without_showing_it(tmp_path: Path, configured: str) -> None:
    with pytest.raises(SettingsError, match="has to be 32 bytes as 64 hex digits or in base64") as caught:
        open_vault(configured, tmp_path)
    assert configured not in caught.value.message


def test_without_a_key_one_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sealed = open_vault("", folder).seal(SECRET, "Files")
    file = folder / "encryption.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert open_vault("", folder).open(sealed, "Files") == SECRET
    assert open_vault(file.read_text().strip(), tmp_path).open(sealed, "Files") == SECRET


def test_a_key_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "encryption.key").mkdir()
    with pytest.raises(SettingsError, match=r"encryption\.key cannot be used"):
        open_vault("", tmp_path)
