"""An MCP server behind OAuth, and its authorization server, in one application on one address."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.serving import serving


@dataclass
class OAuthServer:
    """What it is to do, what it has issued and what it was asked; `url` is where it runs.

    `answers` are given at their paths in place of what it would answer itself.
    """

    url: str = ""
    supports_registration: bool = True
    supports_metadata_documents: bool = False
    expires_in: int = 3600
    clients: dict[str, dict[str, Any]] = field(default_factory=lambda: {"machine": {"client_secret": "s3cret/+"}})
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access_tokens: set[str] = field(default_factory=set)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    token_requests: list[dict[str, str]] = field(default_factory=list)
    registrations: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[Request], Awaitable[Response]]] = field(default_factory=dict)
    calls: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[OAuthServer]:
        """Answer until the block ends."""
        async with serving(self.app()) as url:
            self.url = url
            yield self

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/mcp", self._answered(self.mcp), methods=["POST"]),
                Route("/.well-known/oauth-protected-resource/mcp", self._answered(self.resource)),
                Route("/.well-known/oauth-authorization-server/as", self._answered(self.metadata)),
                Route("/as/register", self._answered(self.register), methods=["POST"]),
                Route("/as/authorize", self._answered(self.authorize)),
                Route("/as/token", self._answered(self.token), methods=["POST"]),
            ]
        )

    def _answered(self, usual: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await self.answers.get(request.url.path, usual)(request)

        return answer

    async def mcp(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        if authorization.removeprefix("Bearer ") not in self.access_tokens:
            where = f"{self.url}/.well-known/oauth-protected-resource/mcp"
            challenge = f'Bearer resource_metadata="{where}", scope="tools"'
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": challenge})
        self.authorizations.append(authorization)
        message = await request.json()
        if message["method"] == "server/discover":
            result: dict[str, Any] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "secret", "inputSchema": {"type": "object"}}]}
        else:
            self.calls += 1
            seen = {name: value for name, value in request.headers.items() if name in ("authorization", "x-api-key")}
            result = {"content": [{"type": "text", "text": "for your eyes only"}], "x-seen": seen}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete", **result}})

    async def resource(self, _: Request) -> Response:
        return JSONResponse({"resource": f"{self.url}/mcp", "authorization_servers": [f"{self.url}/as"]})

    async def metadata(self, _: Request) -> Response:
        known = {
            "issuer": f"{self.url}/as",
            "authorization_endpoint": f"{self.url}/as/authorize",
            "token_endpoint": f"{self.url}/as/token",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "client_id_metadata_document_supported": self.supports_metadata_documents,
        }
        if self.supports_registration:
            known["registration_endpoint"] = f"{self.url}/as/register"
        return JSONResponse(known)

    async def register(self, request: Request) -> Response:
        wanted = await request.json()
        self.registrations.append(wanted)
        client_id = f"client-{len(self.registrations)}"
        self.clients[client_id] = wanted
        return JSONResponse({**wanted, "client_id": client_id}, 201)

    async def authorize(self, request: Request) -> Response:
        """Somebody who always agrees."""
        query = dict(request.query_params)
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["resource"] == f"{self.url}/mcp"
        assert query["scope"] == "tools"
        code = secrets.token_urlsafe()
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": f"{self.url}/as"}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.token_requests.append(form)
        kind = form["grant_type"]
        if kind == "client_credentials":
            expected = base64.b64encode(b"machine:s3cret%2F%2B").decode()
            accepted = request.headers.get("authorization") == f"Basic {expected}"
        elif kind == "authorization_code":
            asked = self.codes.pop(form["code"], None)
            proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
            accepted = asked is not None and (asked["code_challenge"], asked["redirect_uri"], asked["client_id"]) == (
                proof.decode(),
                form["redirect_uri"],
                form["client_id"],
            )
        else:
            accepted = self.refresh_tokens.pop(form["refresh_token"], None) == form["client_id"]
        if not accepted:
            return JSONResponse({"error": "invalid_grant", "error_description": "no"}, 400)
        return JSONResponse(self.issue(form.get("client_id", ""), refreshable=kind != "client_credentials"))

    def issue(self, client_id: str, *, refreshable: bool = True) -> dict[str, Any]:
        access = secrets.token_urlsafe()
        self.access_tokens.add(access)
        issued: dict[str, Any] = {"access_token": access, "token_type": "bearer", "expires_in": self.expires_in}
        if refreshable:
            refresh = secrets.token_urlsafe()
            self.refresh_tokens[refresh] = client_id
            issued["refresh_token"] = refresh
        return issued
