"""Secrets at rest: sealed for one owner with one key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import SettingsError
from gateway.vault import Vault
from gateway.vault.keys import ConfiguredKeys

SECRET = {"env": {"TOKEN": "s3cret"}}
KEY, NEW_KEY = bytes(range(32)), bytes(32)


def vault(*keys: bytes) -> Vault:
    return Vault(ConfiguredKeys(*keys))


def test_what_is_sealed_comes_back_for_its_owner_and_holds_nothing_readable() -> None:
    sealed = vault(KEY).seal(SECRET, "Files")
    assert b"s3cret" not in sealed
    assert vault(KEY).open(sealed, "Files") == SECRET
    assert vault(KEY).seal(SECRET, "Files") != sealed


@pytest.mark.parametrize(("key", "owner"), [(KEY, "Other"), (NEW_KEY, "Files")])
def test_another_owner_or_another_key_opens_nothing(key: bytes, owner: str) -> None:
    sealed = vault(KEY).seal(SECRET, "Files")
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        vault(key).open(sealed, owner)


def test_a_former_key_opens_and_does_not_seal() -> None:
    both = vault(NEW_KEY, KEY)
    assert both.open(vault(KEY).seal(SECRET, "Files"), "Files") == SECRET
    sealed = both.seal(SECRET, "Files")
    assert sealed.startswith(both.header)
    assert vault(NEW_KEY).open(sealed, "Files") == SECRET


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "gone": lambda text: b"",
    "cut": lambda text: text[:-1],
    "a header alone": lambda text: text[:12],
    "another form": lambda text: b"x" * 40,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_text_opens_nothing(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SettingsError, match="sealed with another encryption key"):
        vault(KEY).open(damage(vault(KEY).seal(SECRET, "Files")), "Files")
