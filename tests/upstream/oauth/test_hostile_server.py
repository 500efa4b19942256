"""What a server says of authorization servers, believed no further than RFC 8414 and RFC 9728 let it be."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio.lowlevel
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import InvalidInputError, UpstreamError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import AuthorizationCode, ClientCredentials, check_credential
from gateway.upstream.oauth.login import begin_login, finish_login
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.doubles.oauth_server import OAuthServer
from tests.support.serving import serving
from tests.upstream.conftest import web
from tests.upstream.oauth.grants import MemoryGrantStore

REDIRECT = "http://127.0.0.1:1/callback"
CALL = UpstreamRequest("tools/call", {"name": "secret", "arguments": {}})
RESOURCE = "/.well-known/oauth-protected-resource/mcp"
METADATA = "/.well-known/oauth-authorization-server/as"


@dataclass
class Impostor:
    """A server that gives itself out as the authorization server called `issuer`, and keeps what it is sent."""

    issuer: str
    url: str = ""
    resource: dict[str, Any] | None = None
    received: list[tuple[str | None, bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Impostor]:
        app = Starlette(
            routes=[
                Route("/mcp", self.refuse, methods=["POST"]),
                Route("/.well-known/oauth-protected-resource/mcp", self.protected_resource),
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/token", self.token, methods=["POST"]),
            ]
        )
        async with serving(app) as self.url:
            yield self

    async def refuse(self, _: Request) -> Response:
        return Response(status_code=401)

    async def protected_resource(self, _: Request) -> Response:
        return JSONResponse(self.resource) if self.resource is not None else Response(status_code=404)

    async def metadata(self, _: Request) -> Response:
        ends = {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token"}
        return JSONResponse({"issuer": self.issuer, "code_challenge_methods_supported": ["S256"], **ends})

    async def token(self, request: Request) -> Response:
        self.received.append((request.headers.get("authorization"), await request.body()))
        return JSONResponse({"access_token": "theirs", "token_type": "bearer"})


@pytest.fixture
async def trusted() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().running() as server:
        yield server


@pytest.fixture
async def impostor(trusted: OAuthServer) -> AsyncIterator[Impostor]:
    async with Impostor(f"{trusted.url}/as").running() as server:
        yield server


async def test_a_client_secret_goes_to_the_issuer_that_it_is_for_and_not_to_who_claims_to_be_it(
    trusted: OAuthServer, impostor: Impostor, pool: UpstreamPool
) -> None:
    credential = ClientCredentials("machine", "s3cret/+", impostor.issuer)
    server = web(f"{impostor.url}/mcp", credential=credential, grants=MemoryGrantStore())
    with pytest.raises(UpstreamError):
        await pool.request(server, CALL)
    assert impostor.received == []
    assert [request["resource"] for request in trusted.token_requests] == [f"{impostor.url}/mcp"]


async def test_a_server_that_names_the_issuer_as_its_own_still_does_not_say_where_its_endpoints_are(
    trusted: OAuthServer, impostor: Impostor, pool: UpstreamPool
) -> None:
    impostor.resource = {"resource": f"{impostor.url}/mcp", "authorization_servers": [impostor.url, impostor.issuer]}
    credential = ClientCredentials("machine", "s3cret/+", impostor.issuer)
    server = web(f"{impostor.url}/mcp", credential=credential, grants=MemoryGrantStore())
    with pytest.raises(UpstreamError):
        await pool.request(server, CALL)
    assert (impostor.received, len(trusted.token_requests)) == ([], 1)


async def test_the_same_holds_for_the_secret_of_a_client_at_a_sign_in(trusted: OAuthServer, impostor: Impostor) -> None:
    credential = AuthorizationCode("web", "s3cret", issuer=impostor.issuer)
    login = await begin_login("Docs", f"{impostor.url}/mcp", credential, REDIRECT, None)
    assert login.url.startswith(f"{trusted.url}/as/authorize?")
    with pytest.raises(UpstreamUnavailableError):
        await finish_login(login, "code", login.state, impostor.issuer)
    assert (impostor.received, len(trusted.token_requests)) == ([], 1)


def test_a_secret_for_a_sign_in_is_not_taken_without_its_issuer() -> None:
    with pytest.raises(InvalidInputError, match="needs the URL of the issuer"):
        check_credential(AuthorizationCode("web", "s3cret"), None)


async def test_a_secret_that_was_stored_without_its_issuer_is_not_used_at_a_sign_in(impostor: Impostor) -> None:
    with pytest.raises(UpstreamUnavailableError, match="which issuer the client secret of Docs is for"):
        await begin_login("Docs", f"{impostor.url}/mcp", AuthorizationCode("web", "s3cret"), REDIRECT, None)


@pytest.mark.parametrize("secret", ["", "s3cret"])
async def test_metadata_of_another_issuer_than_was_asked_for_is_not_used(impostor: Impostor, secret: str) -> None:
    credential = AuthorizationCode("web", secret, issuer=impostor.url if secret else "")
    with pytest.raises(UpstreamUnavailableError, match=f"is of {impostor.issuer}, not of {impostor.url}"):
        await begin_login("Docs", f"{impostor.url}/mcp", credential, REDIRECT, None)


async def test_a_server_of_the_first_specification_is_its_own_authorization_server(impostor: Impostor) -> None:
    impostor.issuer = impostor.url
    login = await begin_login("Docs", f"{impostor.url}/mcp", AuthorizationCode("web"), REDIRECT, None)
    assert login.url.startswith(f"{impostor.url}/authorize?")


async def test_a_refresh_token_that_came_with_client_credentials_is_not_used(
    trusted: OAuthServer, pool: UpstreamPool
) -> None:
    async def token(request: Request) -> Response:
        form = dict(httpx2.QueryParams((await request.body()).decode()))
        trusted.token_requests.append(form)
        return JSONResponse(trusted.issue(""))

    trusted.answers["/as/token"] = token
    trusted.expires_in = 1
    credential = ClientCredentials("machine", "s3cret/+", f"{trusted.url}/as")
    server = web(f"{trusted.url}/mcp", credential=credential, grants=MemoryGrantStore())
    for _ in range(2):
        await pool.request(server, CALL)
    assert {request["grant_type"] for request in trusted.token_requests} == {"client_credentials"}


async def _blanks() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536
        await anyio.lowlevel.checkpoint()


async def _endless(_: Request) -> Response:
    return StreamingResponse(_blanks(), media_type="application/json")


async def _bomb(_: Request) -> Response:
    packed = gzip.compress(b'{"access_token": "' + b"x" * (8 * 2**20) + b'", "token_type": "bearer"}')
    return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})


async def _deep(_: Request) -> Response:
    return Response(b"[" * 1_000_000, 400, media_type="application/json")


async def _for_ever(_: Request) -> Response:
    ends = int("9" * 400)
    return JSONResponse({"access_token": "t", "token_type": "bearer", "expires_in": ends})


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        *((path, answer) for path in (METADATA, RESOURCE, "/as/token") for answer in (_endless, _bomb)),
        (METADATA, _deep),
        ("/as/token", _deep),
    ],
)
async def test_answers_of_an_authorization_server_are_bounded(
    trusted: OAuthServer, pool: UpstreamPool, path: str, answer: Any
) -> None:
    trusted.answers[path] = answer
    credential = ClientCredentials("machine", "s3cret/+", f"{trusted.url}/as")
    store = MemoryGrantStore()
    with pytest.raises(UpstreamUnavailableError, match="authorization server"):
        await pool.request(web(f"{trusted.url}/mcp", credential=credential, grants=store), CALL)
    assert store.grant is None


async def test_a_token_that_lasts_beyond_all_time_is_kept_for_a_while(trusted: OAuthServer, pool: UpstreamPool) -> None:
    trusted.answers["/as/token"] = _for_ever
    trusted.access_tokens.add("t")
    credential = ClientCredentials("machine", "s3cret/+", f"{trusted.url}/as")
    store = MemoryGrantStore()
    result = await pool.request(web(f"{trusted.url}/mcp", credential=credential, grants=store), CALL)
    assert result["content"][0]["text"] == "for your eyes only"
    assert store.grant is not None
    assert store.grant.is_fresh


async def test_what_a_refusal_goes_on_to_say_is_not_read(trusted: OAuthServer, pool: UpstreamPool) -> None:
    async def refuse(request: Request) -> Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") in trusted.access_tokens:
            return await trusted.mcp(request)
        refused = await trusted.mcp(request)
        return StreamingResponse(_blanks(), 401, {"WWW-Authenticate": refused.headers["www-authenticate"]})

    trusted.answers["/mcp"] = refuse
    credential = ClientCredentials("machine", "s3cret/+", f"{trusted.url}/as")
    server = web(f"{trusted.url}/mcp", credential=credential, grants=MemoryGrantStore())
    assert (await pool.request(server, CALL))["content"][0]["text"] == "for your eyes only"
