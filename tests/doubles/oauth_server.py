"""An MCP server behind OAuth, and its authorization server, in one application on one address.

Each request is checked as the RFC that it is of says.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.doubles.openid_provider import OpenIdProvider
from tests.support.serving import serving


@dataclass
class OAuthServer:
    """What it is to do, what it has issued and what it was asked; `url` is where it runs.

    `answers` are given at their paths in place of what it would answer itself. `people` says whose each access token
    is, of those that persons signed in for or a provider vouched for; the next to sign in is `signs_in`.
    `granted_scope` is what it grants of what is asked, `names_issuer` whether it says who answers (RFC 9207).
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
    supports_revocation: bool = True
    names_issuer: bool = True
    granted_scope: str | None = None
    signs_in: str = "ada"
    people: dict[str, str] = field(default_factory=dict)
    callers: list[str] = field(default_factory=list)
    revoked: list[dict[str, str]] = field(default_factory=list)
    provider: OpenIdProvider | None = None
    vouched_client: tuple[str, str] = ("gateway-there", "there-s3cret")
    seen_assertions: set[str] = field(default_factory=set)

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
                Route("/as/revoke", self._answered(self.revoke), methods=["POST"]),
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
        person = self.people.get(authorization.removeprefix("Bearer "), "")
        message = await request.json()
        if message["method"] == "server/discover":
            result: dict[str, Any] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "secret", "inputSchema": {"type": "object"}}]}
        else:
            self.calls += 1
            self.callers.append(person)
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
            "authorization_response_iss_parameter_supported": self.names_issuer,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "client_id_metadata_document_supported": self.supports_metadata_documents,
        }
        if self.supports_revocation:
            known["revocation_endpoint"] = f"{self.url}/as/revoke"
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
        self.codes[code] = {**query, "person": self.signs_in}
        answer = {"code": code, "state": query["state"]}
        if self.names_issuer:
            answer["iss"] = f"{self.url}/as"
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.token_requests.append(form)
        kind = form["grant_type"]
        person = ""
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            person = self._vouched(request, form)
            accepted = bool(person)
        elif kind == "client_credentials":
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
            person = "" if asked is None else asked["person"]
        else:
            person = self.people.get(form["refresh_token"], "")
            accepted = self.refresh_tokens.pop(form["refresh_token"], None) == form["client_id"]
        if not accepted:
            return JSONResponse({"error": "invalid_grant", "error_description": "no"}, 400)
        refreshable = kind in ("authorization_code", "refresh_token")
        return JSONResponse(self.issue(form.get("client_id", ""), refreshable=refreshable, person=person))

    async def revoke(self, request: Request) -> Response:
        """RFC 7009: with a refresh token go the access tokens of the same person."""
        form = dict(parse_qsl((await request.body()).decode()))
        assert form["token_type_hint"] in ("refresh_token", "access_token")
        self.revoked.append(form)
        person = self.people.get(form["token"], "")
        if form["token_type_hint"] == "refresh_token" and person:
            self.access_tokens -= {token for token, owner in self.people.items() if owner == person}
        self.refresh_tokens.pop(form["token"], None)
        self.access_tokens.discard(form["token"])
        return Response()

    def _vouched(self, request: Request, form: dict[str, str]) -> str:
        """Whom an ID-JAG vouches for, empty where it does not; the identity assertion draft, section 4.4.1."""
        client_id, secret = self.vouched_client
        expected = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        if self.provider is None or request.headers.get("authorization") != f"Basic {expected}":
            return ""
        try:
            header, claims = jwt.get_unverified_header(form["assertion"]), self.provider.read(form["assertion"])
        except (jwt.PyJWTError, KeyError):
            return ""
        named = (header["typ"], claims["aud"], claims["client_id"], claims.get("resource", f"{self.url}/mcp"))
        if named != ("oauth-id-jag+jwt", f"{self.url}/as", client_id, f"{self.url}/mcp"):
            return ""
        if claims["jti"] in self.seen_assertions:
            return ""
        self.seen_assertions.add(claims["jti"])
        return str(claims["sub"])

    def issue(self, client_id: str, *, refreshable: bool = True, person: str = "") -> dict[str, Any]:
        access = secrets.token_urlsafe()
        self.access_tokens.add(access)
        issued: dict[str, Any] = {"access_token": access, "token_type": "bearer"}
        if self.expires_in:
            issued["expires_in"] = self.expires_in
        if self.granted_scope is not None:
            issued["scope"] = self.granted_scope
        if person:
            self.people[access] = person
        if refreshable:
            refresh = secrets.token_urlsafe()
            self.refresh_tokens[refresh] = client_id
            issued["refresh_token"] = refresh
            if person:
                self.people[refresh] = person
        return issued
