"""Callers' access tokens are exchanged for tokens of servers, and never passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import anyio
import jwt
import pytest

from gateway.components import Components, open_components
from gateway.errors import CallerTokenNeededError, GrantRefusedError, UpstreamUnavailableError
from gateway.settings import OauthSettings, Settings
from gateway.upstream.credentials.credential import Bearer
from gateway.upstream.spec import ServerSpec
from tests.access.connections.oauth.conftest import add_server, call_as
from tests.doubles.personal_server import PersonalServer
from tests.doubles.token_provider import TokenProvider
from tests.support.gateway import running_gateway
from tests.support.waiting import until
from tests.upstream.oauth.providers import WITH_SECRET, register


class ExchangedTokens(dict[str, str]):
    """Whose a token is: of those that the provider made for the server, and no other."""

    def __init__(self, provider: TokenProvider) -> None:
        super().__init__()
        self.provider = provider
        self.withdrawn: set[str] = set()

    def get(self, token: str, default: str | None = None) -> str | None:  # type: ignore[override]
        try:
            claims = self.provider.read(token)
        except (jwt.PyJWTError, KeyError):
            return default
        return claims["sub"] if claims["aud"] == "docs" and token not in self.withdrawn else default


@dataclass
class ExchangeWorld:
    """A server that takes tokens of a provider, which is also the one that callers have their own tokens of."""

    parts: Components
    provider: TokenProvider
    server: PersonalServer
    spec: ServerSpec
    people: ExchangedTokens

    async def call(self, name: str, token: str | None = None) -> str:
        """The text of a call by somebody, with their own access token or with `token`."""
        own = self.provider.token(sub=name) if token is None else token
        result = await call_as(self.parts, self.spec, name, self.provider.url, own)
        text: str = result["content"][0]["text"]
        return text

    @property
    def seen_tokens(self) -> set[str]:
        return {request.token for request in self.server.seen}


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[ExchangeWorld]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(TokenProvider().running())
        register(provider)
        people = ExchangedTokens(provider)
        server = await stack.enter_async_context(PersonalServer(persons=people).running())
        oauth = OauthSettings(issuer=provider.url, audience=("http://gateway/mcp",))
        parts = await stack.enter_async_context(open_components(replace(settings, oauth=oauth)))
        spec = await add_server(parts, "Docs", server.url, WITH_SECRET)
        yield ExchangeWorld(parts, provider, server, spec, people)


async def test_each_caller_is_let_in_as_who_they_are_and_their_own_token_goes_nowhere(world: ExchangeWorld) -> None:
    own = {name: world.provider.token(sub=name) for name in ("ada", "ben")}
    said = [await world.call(name, own[name]) for name in ("ada", "ben", "ada", "ben")]
    assert said == ["secret as ada", "secret as ben"] * 2
    assert len(world.provider.requests) == 2
    assert not world.seen_tokens & set(own.values())
    assert world.server.shared_sessions == []


async def test_each_token_of_a_caller_is_exchanged_for_itself(world: ExchangeWorld) -> None:
    narrow, wide = world.provider.token(scope="read"), world.provider.token(scope="read write")
    for token in (narrow, wide, narrow):
        assert await world.call("ada", token) == "secret as ada"
    assert [form["subject_token"] for form in world.provider.requests] == [narrow, wide]


async def test_an_api_key_is_told_what_to_call_with(world: ExchangeWorld) -> None:
    with pytest.raises(CallerTokenNeededError, match=r"by your own access token; sign in at the company's provider"):
        await world.call("ada", "")
    assert world.provider.requests == []


async def test_calls_together_lead_to_one_exchange_under_way_for_a_person_and_server(world: ExchangeWorld) -> None:
    gate = world.provider.exchanges.gate = anyio.Event()
    token, other = world.provider.token(), world.provider.token(scope="more")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(world.call, "ada", token)
        tasks.start_soon(world.call, "ada", other)
        tasks.start_soon(world.call, "ben")
        await until(lambda: world.provider.under_way == 2)
        gate.set()
    assert world.provider.most_under_way == 2
    assert len(world.provider.requests) == 3


async def test_a_token_that_the_server_refuses_is_exchanged_anew_once(world: ExchangeWorld) -> None:
    own = world.provider.token()
    await world.call("ada", own)
    world.people.withdrawn |= world.seen_tokens
    assert await world.call("ada", own) == "secret as ada"
    assert len(world.provider.requests) == 2
    world.server.persons = {}
    with pytest.raises(UpstreamUnavailableError, match="refused the gateway's credentials"):
        await world.call("ada", own)
    assert len(world.provider.requests) == 3


async def test_a_token_that_is_about_to_end_is_not_used(world: ExchangeWorld) -> None:
    own = world.provider.token()
    world.provider.exchanges.seconds = 10
    for _ in range(2):
        await world.call("ada", own)
    assert len(world.provider.requests) == 2


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("interaction_required", "sign in anew in your client"),
        ("access_denied", "ask an administrator whether you may use Docs"),
        ("server_error", "check the credentials"),
    ],
)
async def test_a_refusal_says_what_to_do(world: ExchangeWorld, reason: str, said: str) -> None:
    world.provider.exchanges.refusal = reason
    with pytest.raises(GrantRefusedError, match=said) as refused:
        await world.call("ada")
    assert reason in refused.value.message


async def test_a_provider_that_gives_the_callers_own_token_back_is_not_followed(world: ExchangeWorld) -> None:
    world.provider.exchanges.answer = "same_token"
    with pytest.raises(GrantRefusedError, match="the caller's own token, which is not passed on"):
        await world.call("ada", world.provider.token(aud="docs"))
    assert world.server.seen == []


async def test_without_a_provider_of_access_tokens_the_kind_says_what_is_missing(parts: Components) -> None:
    spec = await add_server(parts, "Docs", "http://127.0.0.1:9/mcp", WITH_SECRET)
    with pytest.raises(UpstreamUnavailableError, match=r"an administrator sets oauth\.issuer"):
        await call_as(parts, spec, "ada", token="own")


async def test_a_client_with_an_access_token_calls_as_who_signed_in_there(world: ExchangeWorld) -> None:
    oauth = replace(world.parts.settings.oauth, default_roles=("all",))
    async with (
        open_components(replace(world.parts.settings, oauth=oauth)) as parts,
        running_gateway(parts) as gateway,
    ):
        listing = world.provider.token(sub="the gateway", aud="docs")
        spec = await parts.servers.load_definition(1, world.spec.id)
        await parts.servers.update(1, world.spec.id, replace(spec, credential=Bearer(listing)))
        await parts.sync.run(1, world.spec.id)
        said = []
        for name in ("ada", "ben"):
            own = world.provider.token(sub=name)
            answer = await gateway.http.post(
                "/mcp",
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "docs__whoami"}},
                headers={"Authorization": f"Bearer {own}"},
            )
            said.append(answer.json()["result"]["content"][0]["text"])
            assert own not in world.seen_tokens
        assert said == ["whoami as ada", "whoami as ben"]
        refused = await gateway.request("tools/call", {"name": "docs__whoami"})
        assert "by your own access token" in refused["result"]["content"][0]["text"]
        assert all(request.token != listing for request in world.server.seen if request.method == "tools/call")
