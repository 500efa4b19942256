"""The company's provider vouches for persons who have signed in to the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel
import asyncpg
import pytest

from gateway.access.connections.oauth.sign_in_tokens import SignInTokens
from gateway.access.connections.source import PersonAtServer
from gateway.access.persons import Identity, Person
from gateway.components import Components, open_components
from gateway.errors import ConnectionNeededError, GrantRefusedError, SettingsError, UpstreamUnavailableError
from gateway.settings import AdminSettings, Settings
from gateway.upstream.credentials.delegation import PersonalIdJag
from gateway.upstream.credentials.token_client import TokenClient
from gateway.upstream.spec import ServerSpec
from tests.access.connections.oauth.conftest import add_server, call_as
from tests.doubles.oauth_server import OAuthServer
from tests.doubles.token_provider import TokenProvider
from tests.upstream.oauth.providers import SECRET, register

THERE = TokenClient("gateway-there", "client_secret_basic", "there-s3cret")


@dataclass
class VouchedWorld:
    """A server whose authorization server believes the company's provider."""

    parts: Components
    provider: TokenProvider
    server: OAuthServer
    spec: ServerSpec

    async def person(self, name: str) -> Person:
        return await self.parts.persons.ensure(self.spec.tenant_id, Identity(self.provider.url, name), name)

    async def sign_in(self, name: str, *, seconds: int = 300, refresh: bool = True) -> None:
        """Have a person sign in to the gateway, with an ID token that lasts `seconds`."""
        now = self.provider.claims()["iat"]
        tokens = SignInTokens(
            self.provider.url,
            self.provider.id_token("gateway", sub=name, exp=now + seconds),
            self.provider.refresh_token("gateway", name) if refresh else "",
        )
        identity = Identity(self.provider.url, name)
        await self.parts.token_sources.provider_sign_ins.record(identity, name, tokens)

    async def call(self, name: str) -> str:
        """As whom the server has seen a call of a person."""
        await call_as(self.parts, self.spec, name, self.provider.url)
        return self.server.callers[-1]

    @property
    def refreshes(self) -> int:
        return sum(form["grant_type"] == "refresh_token" for form in self.provider.requests)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[VouchedWorld]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(TokenProvider().running())
        server = await stack.enter_async_context(OAuthServer(provider=provider).running())
        register(provider, f"{server.url}/as")
        admin = AdminSettings(
            openid_issuer=provider.url,
            openid_client_id="gateway",
            openid_client_secret=SECRET,
            openid_roles=("ops=admin",),
        )
        parts = await stack.enter_async_context(open_components(replace(settings, admin=admin)))
        kind = PersonalIdJag(f"{server.url}/as", THERE, f"{server.url}/mcp", "tools")
        yield VouchedWorld(parts, provider, server, await add_server(parts, "Docs", f"{server.url}/mcp", kind))


async def test_who_has_signed_in_is_let_in_as_who_they_are(world: VouchedWorld) -> None:
    with pytest.raises(ConnectionNeededError, match="has to vouch for you at Docs, for which you sign in"):
        await world.call("ada")
    await world.sign_in("ada")
    await world.sign_in("ben")
    assert [await world.call(name) for name in ("ada", "ben", "ada")] == ["ada", "ben", "ada"]
    assert len(world.provider.requests) == len(world.server.token_requests) == 2


async def test_a_sign_in_that_is_over_is_renewed_once_for_all(world: VouchedWorld) -> None:
    await world.sign_in("ada", seconds=1)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(world.call, "ada")
    assert world.server.callers == ["ada"] * 4
    assert world.refreshes == 1
    # What it brought is kept: the refresh token before is worth nothing any more.
    world.provider.exchanges.seconds = 1
    world.server.access_tokens.clear()
    assert await world.call("ada") == "ada"
    assert world.refreshes == 1


async def test_without_a_refresh_token_a_sign_in_that_is_over_is_asked_for_anew(world: VouchedWorld) -> None:
    await world.sign_in("ada", seconds=1, refresh=False)
    with pytest.raises(ConnectionNeededError, match="you sign in to the gateway anew"):
        await world.call("ada")
    await world.sign_in("ada")
    assert await world.call("ada") == "ada"


async def test_a_sign_in_that_was_ended_at_the_provider_is_forgotten(world: VouchedWorld) -> None:
    await world.sign_in("ada", seconds=1)
    world.provider.refresh_tokens.clear()
    with pytest.raises(ConnectionNeededError):
        await world.call("ada")
    assert await world.parts.token_sources.sign_in_tokens.get(1, (await world.person("ada")).id) is None


async def test_the_provider_may_be_shown_the_refresh_token(world: VouchedWorld) -> None:
    kind = world.spec.personal
    assert isinstance(kind, PersonalIdJag)
    await world.parts.servers.set_personal(1, world.spec.id, replace(kind, subject="refresh_token"))
    world.parts.servers._specs.forget(1)
    world.spec = await world.parts.servers.spec(1, world.spec.id)
    await world.sign_in("ada", seconds=1)
    assert await world.call("ada") == "ada"
    assert world.refreshes == 0
    assert world.provider.requests[0]["subject_token_type"] == "urn:ietf:params:oauth:token-type:refresh_token"


async def test_a_server_that_the_company_does_not_allow_a_person_is_told(world: VouchedWorld) -> None:
    await world.sign_in("ada")
    world.provider.exchanges.refusal = "access_denied"
    with pytest.raises(GrantRefusedError, match="ask an administrator whether you may use Docs"):
        await world.call("ada")


async def test_a_provider_that_hangs_up_is_told_and_nothing_is_forgotten(world: VouchedWorld) -> None:
    await world.sign_in("ada")
    world.provider.exchanges.answer = "down"
    with pytest.raises(UpstreamUnavailableError, match="try again in a moment"):
        await world.call("ada")
    world.provider.exchanges.answer = ""
    assert await world.call("ada") == "ada"


async def test_a_token_that_the_server_refuses_is_asked_for_anew_and_given_back_at_the_end(
    world: VouchedWorld,
) -> None:
    await world.sign_in("ada")
    await world.call("ada")
    world.server.access_tokens.clear()
    assert await world.call("ada") == "ada"
    at = PersonAtServer(await world.person("ada"), world.spec)
    await world.parts.token_sources.by_kind["id_jag"].revoke(at)
    assert [form["token_type_hint"] for form in world.server.revoked] == ["access_token"]


async def test_sign_ins_are_sealed_each_for_its_person_and_kept_only_where_they_are_of_use(
    world: VouchedWorld,
) -> None:
    await world.sign_in("ada")
    ada, ben = await world.person("ada"), await world.person("ben")
    connection = await asyncpg.connect(world.parts.database.url)
    sealed = await connection.fetchval("SELECT sealed FROM sign_in_tokens WHERE person_id = $1", ada.id)
    assert not any(token.encode() in sealed for token in world.provider.refresh_tokens)
    await connection.execute("UPDATE sign_in_tokens SET person_id = $2 WHERE person_id = $1", ada.id, ben.id)
    stored = world.parts.token_sources.sign_in_tokens
    with pytest.raises(SettingsError):
        await stored.get(1, ben.id)
    await connection.execute("DELETE FROM sign_in_tokens")
    await connection.close()
    assert [each.subject for each in await world.parts.connections.of_person(1, ada.id)] == ["ada"]
    await world.parts.servers.remove(1, world.spec.id)
    await world.sign_in("ada")
    assert await stored.get(1, ada.id) is None


async def test_two_processes_do_not_renew_one_sign_in_together(world: VouchedWorld) -> None:
    await world.sign_in("ada")
    stored, ada = world.parts.token_sources.sign_in_tokens, await world.person("ada")
    entered: list[str] = []

    async def renew(name: str, let: asyncio.Event) -> None:
        async with stored.lock(1, ada.id) as holder:
            assert holder is not None
            entered.append(name)
            await let.wait()

    first, second = asyncio.Event(), asyncio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renew, "first", first)
        while not entered:  # noqa: ASYNC110 - it is the database that lets in
            await anyio.sleep(0.01)
        tasks.start_soon(renew, "second", second)
        second.set()
        await anyio.lowlevel.checkpoint()
        assert entered == ["first"]
        first.set()
    assert entered == ["first", "second"]


async def call_until_refused(world: VouchedWorld) -> None:
    """Call for as long as a notice may take."""
    for _ in range(1_000):
        await world.call("ada")
        await anyio.sleep(0.01)


async def test_what_an_admin_withdraws_is_asked_for_anew_and_a_sign_in_gives_it_back(world: VouchedWorld) -> None:
    await world.sign_in("ada")
    assert await world.call("ada") == "ada"
    await world.parts.connections.disconnect(1, (await world.person("ada")).id, world.spec.id)
    with pytest.raises(ConnectionNeededError):
        await call_until_refused(world)
    await world.sign_in("ada")
    assert await world.call("ada") == "ada"


async def test_a_key_that_acts_for_nobody_who_signs_in_is_told_what_helps(world: VouchedWorld) -> None:
    with pytest.raises(ConnectionNeededError, match="use a key that has you as its owner") as needed:
        await call_as(world.parts, world.spec, "1", "key")
    assert not needed.value.can_connect
