"""Who has to wait after failed attempts to sign in, and who has not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.admin.accounts.lockout import Lockout
from gateway.database.pool import Database, open_database
from gateway.errors import LockedOutError
from gateway.settings import Settings
from tests.admin.conftest import PASSWORD, Person
from tests.support.catalogue import direct_connection
from tests.support.gateway import RunningGateway


@pytest.fixture
def settings(settings: Settings) -> Settings:
    server = replace(settings.server, trusted_proxies=("127.0.0.1",))
    return replace(settings, server=server)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as opened:
        yield opened


async def test_wrong_passwords_of_others_do_not_lock_a_person_out(gateway: RunningGateway, admin: Person) -> None:
    async def sign_in(password: str, address: str) -> int:
        body = {"name": "ada", "password": password}
        return (await gateway.http.post("/api/v1/session", json=body, headers={"X-Forwarded-For": address})).status_code

    answers = [await sign_in("wrong", "203.0.113.9") for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert await sign_in(PASSWORD, "203.0.113.9") == 429
    assert await sign_in(PASSWORD, "192.0.2.1") == 200


async def test_one_address_alone_slows_a_name_down_for_nobody_else(database: Database) -> None:
    lockout = Lockout(database)
    for _ in range(5):
        await lockout.count_attempt("ada", "203.0.113.9")
    for _ in range(100):
        with pytest.raises(LockedOutError):
            await lockout.count_attempt("ada", "203.0.113.9")
    await lockout.count_attempt("ada", "192.0.2.1")


async def test_guesses_from_many_addresses_are_slowed_down_and_their_name_is_never_kept_waiting_for_long(
    database: Database,
) -> None:
    lockout = Lockout(database)
    waits = []
    async with direct_connection(database) as connection:
        for number in range(40):
            await lockout.count_attempt("ada", f"203.0.113.{number}")
            with_wait = await database.fetchval("sign_in_wait_seconds", "name ada")
            waits.append(round(with_wait))
            await connection.execute("UPDATE sign_in_failures SET locked_until = now()")
    assert waits[:29] == [0] * 29
    assert waits[29:] == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]


async def test_addresses_of_one_ipv6_network_are_one(database: Database) -> None:
    lockout = Lockout(database)
    for number in range(5):
        await lockout.count_attempt("ada", f"2001:db8::{number}")
    with pytest.raises(LockedOutError):
        await lockout.count_attempt("ada", "2001:db8::ffff")
    await lockout.count_attempt("ada", "2001:db9::1")


async def test_one_address_that_tries_many_names_waits(database: Database) -> None:
    lockout = Lockout(database)
    for number in range(20):
        await lockout.count_attempt(f"name {number}", "203.0.113.9")
    with pytest.raises(LockedOutError):
        await lockout.count_attempt("another", "203.0.113.9")
