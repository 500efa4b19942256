"""Renewals of tokens, which take as long as an authorization server takes, and hold up nobody longer than they wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import UpstreamError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import ClientCredentials
from gateway.upstream.credentials.oauth_grant import OAuthGrant
from gateway.upstream.oauth.token_auth import OAuthTokenAuth
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.doubles.oauth_server import OAuthServer
from tests.upstream.conftest import web
from tests.upstream.oauth.grants import MemoryGrantStore

CALL = UpstreamRequest("tools/call", {"name": "secret", "arguments": {}})


class SlowTokens:
    """A token endpoint that answers only when it is let."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server
        self.asked = anyio.Event()
        self.let = anyio.Event()
        server.answers["/as/token"] = self.answer

    async def answer(self, request: Request) -> Response:
        self.asked.set()
        await self.let.wait()
        return await self._server.token(request)


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


@pytest.fixture
def slow(oauth: OAuthServer) -> SlowTokens:
    return SlowTokens(oauth)


def machine(oauth: OAuthServer) -> ClientCredentials:
    return ClientCredentials("machine", "s3cret/+", f"{oauth.url}/as")


async def test_a_call_ends_at_its_timeout_while_its_token_is_still_renewed_and_the_token_is_kept(
    oauth: OAuthServer, slow: SlowTokens, pool: UpstreamPool
) -> None:
    store = MemoryGrantStore()
    server = web(f"{oauth.url}/mcp", credential=machine(oauth), grants=store, connect_timeout=2.0, call_timeout=2.0)
    with pytest.raises(UpstreamError):
        await pool.request(server, CALL)
    assert slow.asked.is_set()
    assert store.grant is None
    slow.let.set()
    async with store.lock() as lock:
        assert await lock.load() is not None
    assert len(oauth.token_requests) == 1


async def test_who_is_cancelled_while_a_token_is_renewed_leaves_it_to_the_others(
    oauth: OAuthServer, slow: SlowTokens
) -> None:
    auth = OAuthTokenAuth("Web", f"{oauth.url}/mcp", machine(oauth), MemoryGrantStore())
    grants: list[OAuthGrant] = []

    async def wait() -> None:
        grants.append(await auth._renew(None, None))

    async with anyio.create_task_group() as others:
        async with anyio.create_task_group() as first:
            first.start_soon(wait)
            await slow.asked.wait()
            others.start_soon(wait)
            first.cancel_scope.cancel()
        assert grants == []
        slow.let.set()
    assert len(grants) == len(oauth.token_requests) == 1


async def test_what_a_sign_in_replaced_meanwhile_is_not_overwritten_by_a_renewal(oauth: OAuthServer) -> None:
    class Replaced(MemoryGrantStore):
        async def save(self, grant: OAuthGrant) -> bool:
            return False

    auth = OAuthTokenAuth("Web", f"{oauth.url}/mcp", machine(oauth), Replaced())
    with pytest.raises(UpstreamUnavailableError, match="was replaced while its token was renewed"):
        await auth._renew(None, None)
