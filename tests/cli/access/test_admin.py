"""`modelgate admin`: accounts made, listed, given a password and removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.components import Components
from tests.cli.process import CommandLine


@pytest.fixture
def admin(modelgate: CommandLine) -> CommandLine:
    """Runs `modelgate admin` with arguments."""
    return replace(modelgate, group=("admin",))


async def test_an_admin_is_made_listed_given_a_password_and_removed(admin: CommandLine, parts: Components) -> None:
    assert (await admin.succeed("list")).startswith("There are no admins yet")
    made = await admin.succeed("create", "ada", "--password-stdin", stdin="a good password\n")
    assert made == "ada can sign in now.\n"
    viewer = ("vic", "--role", "viewer", "--tenant", "default")
    await admin.succeed("create", *viewer, "--password-stdin", stdin="a good one too\n")
    assert [line.split()[1:4] for line in (await admin.succeed("list")).splitlines()[1:]] == [
        ["ada", "admin", "all"],
        ["vic", "viewer", "default"],
    ]
    await admin.succeed("password", "vic", "--password-stdin", stdin="yet another one\n")
    row = await parts.database.fetchrow("admin_password", "vic")
    assert row is not None
    assert (await PasswordHasher().verify(row["password_hash"], "yet another one")).correct
    await admin.succeed("remove", "vic")
    assert [account.name for account in await Accounts(parts.database, PasswordHasher()).list()] == ["ada"]


async def test_a_bad_password_or_name_is_told_in_a_sentence(admin: CommandLine) -> None:
    refused = await admin.fail("create", "ada", "--password-stdin", stdin="short\n")
    assert "10 to 1000 characters" in refused
    refused = await admin.fail("remove", "nobody")
    assert refused == "Error: There is no admin 'nobody'; `modelgate admin list` shows all. [not-found]\n"
