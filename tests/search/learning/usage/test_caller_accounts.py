"""Whom a name means to `learn forget --caller`, and what of theirs goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from gateway.access.persons import Identity
from gateway.components import Components
from gateway.errors import InvalidInputError, NotFoundError
from gateway.search.learning.usage.caller_accounts import CallerAccounts
from tests.support.rows import rows

ANNA = Identity("https://login.example", "anna")
NOW = datetime.now(timezone.utc)


@dataclass
class Callers:
    """Two keys of one name, one that acts for Anna, and somebody who signed in and is in no table of persons."""

    build: tuple[int, int]
    laptop: int
    accounts: CallerAccounts

    async def of(self, name: str) -> list[str]:
        return await self.accounts.find(1, name)


@pytest.fixture
async def callers(parts: Components) -> Callers:
    url = parts.database.url
    build = tuple([(await parts.keys.create(1, "build", ["all"])).id for _ in range(2)])
    laptop = (await parts.keys.create(1, "laptop", ["all"])).id
    anna = await parts.persons.ensure(1, ANNA, "Anna Schmidt")
    await rows(url, "UPDATE api_keys SET person_id = $1 WHERE id = $2", anna.id, laptop)
    await rows(
        url,
        "INSERT INTO servers (tenant_id, id, name, slug, transport, command) OVERRIDING SYSTEM VALUE "
        "VALUES (1, 1, 'a', 'a', 'stdio', 'a')",
    )
    await rows(
        url,
        "INSERT INTO tools (tenant_id, id, server_id, name, exposed_name, category, definition, content_hash) "
        "OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 'a', 'a__a', 'other', '{}', '')",
    )
    await rows(
        url,
        "INSERT INTO tool_examples (tenant_id, id, tool_id, text, text_key, source, state) OVERRIDING SYSTEM VALUE "
        "VALUES (1, 1, 1, 'say it', 'say it', 'use', 'counted')",
    )
    for account in ("key 77", "https://login.example bo of the north", f"{ANNA.issuer} {ANNA.subject}"):
        await rows(
            url,
            "INSERT INTO tool_example_callers (tenant_id, example_id, account, count, calls, first_at, last_at) "
            "VALUES (1, 1, $1, 1, 1, $2, $2)",
            *(account, NOW - timedelta(hours=1)),
        )
    return Callers((build[0], build[1]), laptop, CallerAccounts(parts.database))


async def test_a_key_is_meant_by_its_number_or_name_and_brings_whom_it_acts_for(callers: Callers) -> None:
    anna = f"{ANNA.issuer} {ANNA.subject}"
    wanted = sorted([anna, f"key {callers.laptop}"])
    for name in ("laptop", str(callers.laptop), f"key {callers.laptop}"):
        assert await callers.of(name) == wanted
    # A key that is gone is still known by what was learnt from it.
    assert await callers.of("77") == ["key 77"]


async def test_a_person_is_meant_by_name_or_subject_or_as_calls_are_listed(callers: Callers) -> None:
    for name in ("anna", "anna schmidt", "anna of https://login.example"):
        assert await callers.of(name) == [f"{ANNA.issuer} {ANNA.subject}"]
    for name in ("bo of the north", "bo of the north of https://login.example"):
        assert await callers.of(name) == ["https://login.example bo of the north"]


async def test_who_may_be_several_is_asked_for_and_who_is_nobody_is_said_so(callers: Callers) -> None:
    first, second = callers.build
    with pytest.raises(InvalidInputError, match=f"go by “build”: key {first}, key {second}; say which"):
        await callers.of("build")
    assert await callers.of(f"key {second}") == [f"key {second}"]
    with pytest.raises(NotFoundError, match="No caller goes by “carl”"):
        await callers.of("carl")
    with pytest.raises(NotFoundError):
        await callers.accounts.find(2, "anna")


async def test_the_number_of_a_key_means_nobody_who_has_it_for_a_name(parts: Components, callers: Callers) -> None:
    numbered = (await parts.keys.create(1, "4711", ["all"])).id
    await parts.persons.ensure(1, Identity("https://login.example", "4712"), "Nina")
    for key_id in (4711, 4712):
        assert await callers.of(str(key_id))
        with pytest.raises(NotFoundError, match=f"no key {key_id}"):
            await callers.accounts.of_key(1, key_id)
    assert await callers.accounts.of_key(1, numbered) == [f"key {numbered}"]
    assert await callers.accounts.of_key(1, 77) == ["key 77"]
    assert len(await callers.accounts.of_key(1, callers.laptop)) == 2
