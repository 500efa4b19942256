"""How passwords are hashed and checked."""

from __future__ import annotations

import pytest

from gateway.admin.accounts.password import MEMORY_KIB, PASSES, PasswordCheck, PasswordHasher
from gateway.errors import InvalidInputError

PASSWORD = "correct horse battery"


async def test_a_password_is_hashed_as_owasp_recommends_and_recognized() -> None:
    hasher = PasswordHasher(PASSES, MEMORY_KIB)
    stored = await hasher.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.verify(stored, PASSWORD) == PasswordCheck(True)
    assert await hasher.verify(stored, "another password") == PasswordCheck(False)
    assert await hasher.verify(None, PASSWORD) == PasswordCheck(False)


async def test_a_hash_of_weaker_parameters_is_replaced_when_the_password_is_right() -> None:
    hasher = PasswordHasher(PASSES, MEMORY_KIB)
    weak = await PasswordHasher(1, 8).hash(PASSWORD)
    assert (await hasher.verify(weak, "another password")).new_hash is None
    renewed = (await hasher.verify(weak, PASSWORD)).new_hash
    assert renewed is not None
    assert "m=19456,t=2" in renewed


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$broken"])
async def test_what_is_no_hash_matches_no_password(stored: str) -> None:
    assert await PasswordHasher().verify(stored, PASSWORD) == PasswordCheck(False)


@pytest.mark.parametrize("password", ["short", "x" * 1_001])
async def test_a_password_of_the_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(InvalidInputError, match="10 to 1000 characters"):
        await PasswordHasher().hash(password)


async def test_a_lone_surrogate_is_a_character_like_another() -> None:
    hasher = PasswordHasher()
    stored = await hasher.hash("correct horse \ud800")
    assert (await hasher.verify(stored, "correct horse \ud800")).correct
