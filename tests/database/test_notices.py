"""Notices of changes, and connections that die without a word."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from gateway.database import notices as notices_module
from gateway.database.notices import ANYTHING, Notice, Notices, parse_notice
from gateway.database.pool import open_database
from gateway.settings import Settings
from tests.support.database_proxy import DatabaseProxy
from tests.support.rows import rows
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("payload", "notice"),
    [
        ('{"tenant" : 7}', Notice(tenant_id=7)),
        ('{"tenant" : 7, "key" : 3}', Notice(tenant_id=7, key_id=3)),
        ('{"tenant" : 7, "catalogue" : 12}', Notice(tenant_id=7, catalogue_version=12)),
        ('{"space" : 2}', Notice(space_id=2)),
        ('{"queries" : 0}', Notice(cleared_queries=0)),
        ('{"tenant" : 7, "of a later version" : true}', Notice(tenant_id=7)),
    ],
)
def test_a_payload_says_what_has_changed(payload: str, notice: Notice) -> None:
    assert parse_notice(payload) == notice


@pytest.mark.parametrize("payload", ["", "{}", "null", "[7]", "7", '"x"', "{", '{"tenant": "7"}', '{"tenant": true}'])
def test_a_payload_that_cannot_be_read_may_be_about_anything(payload: str) -> None:
    assert parse_notice(payload) == ANYTHING


def test_a_change_of_a_key_or_a_space_is_none_of_a_catalogue() -> None:
    assert Notice(tenant_id=7, catalogue_version=12).concerns_catalogue
    assert ANYTHING.concerns_catalogue
    assert not Notice(tenant_id=7, key_id=3).concerns_catalogue
    assert not Notice(space_id=2).concerns_catalogue


async def test_every_statement_that_notifies_says_what_it_changed(settings: Settings) -> None:
    received: list[Notice] = []
    async with open_database(settings, size=2) as database, open_database(settings, size=2) as other:
        notices = Notices(other)
        notices.subscribe(received.append)
        async with notices.listening():
            received.clear()
            await database.execute("suspend_tenant", 1, False)
            await database.execute("bump_catalogue_version", 1)
            await database.execute("notify_space", 3)
            await until(lambda: len(received) == 3)
    assert received == [Notice(tenant_id=1), Notice(tenant_id=1, catalogue_version=2), Notice(space_id=3)]


async def test_a_notice_that_nobody_can_read_is_taken_as_any_change(settings: Settings) -> None:
    received: list[Notice] = []
    async with open_database(settings, size=2) as database:
        notices = Notices(database)
        async with notices.listening():
            notices.subscribe(received.append)
            await rows(database.url, "SELECT pg_notify('modelgate', 'written by hand')")
            await until(lambda: received == [ANYTHING])
            assert notices.connected


async def test_who_catches_up_is_told_of_a_change_before_the_notice_of_it_comes(settings: Settings) -> None:
    received: list[Notice] = []
    async with open_database(settings, size=2) as database, open_database(settings, size=2) as other:
        # It does not listen at all.
        notices = Notices(other)
        notices.subscribe(received.append)
        await notices.catch_up(1)
        received.clear()
        await notices.catch_up(1)
        assert not received
        await database.execute("bump_catalogue_version", 1)
        await notices.catch_up(1)
        assert received == [Notice(tenant_id=1, catalogue_version=2)]
        await notices.catch_up(404)
    assert len(received) == 1


async def test_a_connection_that_dies_without_a_word_is_noticed_and_replaced(settings: Settings) -> None:
    received: list[Notice] = []
    async with open_database(settings, size=2) as database:
        proxy = DatabaseProxy(database)
        async with proxy.running():
            notices = Notices(proxy.database)
            notices.subscribe(received.append)
            async with notices.listening():
                assert notices.connected
                await database.fetch("suspend_tenant", 1, False)
                await until(lambda: Notice(tenant_id=1) in received)
                proxy.stall()
                await until(lambda: not notices.connected)
                received.clear()
                proxy.resume()
                await until(lambda: notices.connected)
                # What was said meanwhile is lost: anything may have changed.
                assert received == [ANYTHING]


async def test_a_dead_connection_counts_as_lost_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class DeadConnection:
        async def execute(self, _: str, *, timeout: float) -> None:
            waited.append(timeout)
            raise asyncio.TimeoutError

    move_on_after = anyio.move_on_after

    def pass_time(seconds: float) -> anyio.CancelScope:
        waited.append(seconds)
        return move_on_after(0)

    monkeypatch.setattr(anyio, "move_on_after", pass_time)
    with pytest.raises(asyncio.TimeoutError):
        await notices_module._until_lost(DeadConnection(), asyncio.Event())  # type: ignore[arg-type]
    assert len(waited) == 2
    assert sum(waited) <= 1
