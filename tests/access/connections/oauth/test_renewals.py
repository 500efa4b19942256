"""Tokens of persons are renewed: in time, once, by one process, and at nobody else's cost."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from gateway.access.connections.connections import Connection
from gateway.errors import ConnectionNeededError, UpstreamUnavailableError
from gateway.upstream.credentials.delegation import PersonalOAuth
from tests.access.connections.oauth.conftest import SignInWorld, SlowTokens, add_server, call_as
from tests.doubles.oauth_server import OAuthServer
from tests.support.waiting import until


async def stored(world: SignInWorld) -> Connection:
    """What the database has of ada."""
    connection = await world.parts.connections.load((await world.at("ada")).connection_key)
    assert connection is not None
    return connection


async def test_a_token_that_is_over_is_renewed_before_it_is_sent(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    before = set(world.oauth.access_tokens)
    world.oauth.expires_in = 3600
    assert await world.call("ada") == "ada"
    assert not {authorization.removeprefix("Bearer ") for authorization in world.oauth.authorizations} & before
    assert await world.call("ada") == "ada"
    assert len(world.requests("refresh_token")) == 1


async def test_a_token_that_ends_soon_is_renewed_beside_the_call(world: SignInWorld) -> None:
    world.oauth.expires_in = 40
    await world.sign_in("ada")
    slow = SlowTokens(world.oauth)
    world.oauth.expires_in = 3600
    # The call waits for nobody.
    assert await world.call("ada") == "ada"
    await slow.asked.wait()
    slow.let.set()
    with anyio.fail_after(10):
        while (await stored(world)).secret["grant"]["expires_at"] < time.time() + 3_000:  # noqa: ASYNC110 - the database tells no test
            await anyio.sleep(0.01)
    assert await world.call("ada") == "ada"
    assert len(world.requests("refresh_token")) == 1


async def test_many_calls_and_processes_renew_once(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    world.oauth.expires_in = 3600
    at = await world.at("ada")
    sources = [world.parts.token_sources, *(world.elsewhere() for _ in range(3))]
    headers: list[Any] = []

    async def get(source: Any) -> None:
        headers.append(dict((await source.sign_in.get(at)).headers))

    async with anyio.create_task_group() as tasks:
        for source in sources * 4:
            tasks.start_soon(get, source)
    assert len(world.requests("refresh_token")) == 1
    assert all(each == headers[0] for each in headers)


async def test_a_token_that_another_process_has_renewed_is_not_renewed_again(world: SignInWorld) -> None:
    await world.sign_in("ada")
    at, other = await world.at("ada"), world.elsewhere()
    assert await world.call("ada") == "ada"
    refused = await other.sign_in.get(at)
    world.oauth.access_tokens.clear()
    await other.sign_in.renew(at, refused)
    assert await world.call("ada") == "ada"
    assert len(world.requests("refresh_token")) == 1


async def test_while_a_token_is_renewed_no_database_connection_is_held(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    slow = SlowTokens(world.oauth)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.call, "ada")
        await slow.asked.wait()
        assert world.parts.database.connections["busy"] == 0
        slow.let.set()


async def test_a_slow_provider_holds_up_only_those_who_call_its_server(world: SignInWorld, oauth: OAuthServer) -> None:
    async with OAuthServer().running() as other:
        spec = await add_server(world.parts, "Wiki", f"{other.url}/mcp", PersonalOAuth())
        there = SignInWorld(world.parts, other, spec)
        await there.sign_in("ben")
        oauth.expires_in = 1
        await world.sign_in("ada")
        slow = SlowTokens(oauth)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.call, "ada")
            await slow.asked.wait()
            assert await there.call("ben") == "ben"
            assert oauth.callers == []
            slow.let.set()
        assert oauth.callers == ["ada"]


async def test_who_gives_up_while_a_token_is_renewed_loses_nothing(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    slow = SlowTokens(world.oauth)
    world.oauth.expires_in = 3600
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.call, "ada")
        await slow.asked.wait()
        tasks.cancel_scope.cancel()
    slow.let.set()
    assert await world.call("ada") == "ada"
    assert len(world.requests("refresh_token")) == 1


async def test_what_was_taken_back_at_the_provider_is_forgotten_and_asked_for(world: SignInWorld) -> None:
    await world.sign_in("ada", "ben")
    assert await world.call("ada") == "ada"
    for token in [token for token, person in world.oauth.people.items() if person == "ada"]:
        world.oauth.access_tokens.discard(token)
        world.oauth.refresh_tokens.pop(token, None)
    with pytest.raises(ConnectionNeededError, match="was taken back there, or has ended"):
        await world.call("ada")
    assert await world.parts.connections.load((await world.at("ada")).connection_key) is None
    assert await world.call("ben") == "ben"
    await world.sign_in("ada")
    assert await world.call("ada") == "ada"


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_provider_that_is_down_is_told_and_nothing_is_forgotten(world: SignInWorld, status: int) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")

    async def down(_: Any) -> Response:
        return Response(status_code=status)

    world.oauth.answers["/as/token"] = down
    with pytest.raises(UpstreamUnavailableError, match=r"gives no token .*; try again in a moment"):
        await world.call("ada")
    world.oauth.answers.clear()
    assert await world.call("ada") == "ada"


async def test_a_token_without_an_end_is_used_until_it_is_refused(world: SignInWorld) -> None:
    world.oauth.expires_in = 0
    await world.sign_in("ada")
    assert [await world.call("ada") for _ in range(2)] == ["ada", "ada"]
    assert world.requests("refresh_token") == []
    world.oauth.access_tokens.clear()
    assert await world.call("ada") == "ada"
    assert len(world.requests("refresh_token")) == 1


async def test_who_connects_anew_while_the_token_is_renewed_keeps_what_is_new(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    first, answer = await stored(world), await world.send_away("ada")
    world.oauth.expires_in = 3600
    slow = SlowTokens(world.oauth)
    outcomes: list[Exception] = []

    async def call() -> None:
        try:
            await world.call("ada")
        except UpstreamUnavailableError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await slow.asked.wait()
        tasks.start_soon(world.come_back, answer)
        await until(lambda: len(slow.waiting) == 2)
        slow.waiting[1].set()
        await until(lambda: len(world.requests("authorization_code")) == 2)
        while (connected := await stored(world)).id == first.id:  # noqa: ASYNC110 - the database tells no test
            await anyio.sleep(0.01)
        slow.waiting[0].set()
    assert len(outcomes) == 1
    assert "anew while your token there was renewed" in str(outcomes[0])
    now = await stored(world)
    assert (now.id, now.secret) == (connected.id, connected.secret)
    assert await world.call("ada") == "ada"


async def test_a_server_at_another_address_gets_no_token_that_was_meant_for_the_one_before(
    world: SignInWorld,
) -> None:
    await world.sign_in("ada")
    async with OAuthServer().running() as impostor:
        moved = replace(world.spec, url=f"{impostor.url}/mcp")
        with pytest.raises(ConnectionNeededError, match="address of Docs is another"):
            await call_as(world.parts, moved, "ada")
        assert impostor.authorizations == []


async def test_a_token_that_comes_after_its_person_has_disconnected_is_given_back(world: SignInWorld) -> None:
    world.oauth.expires_in = 1
    await world.sign_in("ada")
    slow = SlowTokens(world.oauth)
    outcomes: list[str] = []

    async def call() -> None:
        try:
            await world.call("ada")
        except ConnectionNeededError as error:
            outcomes.append(error.reason)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await slow.asked.wait()
        await world.parts.connections.disconnect(*(await world.at("ada")).connection_key)
        slow.let.set()
    assert outcomes == ["What you had connected at Docs was withdrawn just now"]
    assert world.oauth.refresh_tokens == {}
    assert [form["token_type_hint"] for form in world.oauth.revoked] == ["refresh_token", "access_token"]
