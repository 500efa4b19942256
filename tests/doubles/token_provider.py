"""A company's provider over a socket, which gives tokens for tokens: RFC 8693, Entra's on-behalf-of, and ID-JAGs.

It checks each request as the RFC that it is of says, and answers a request that is wrong as that says.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import anyio
import jwt
import uvicorn
from joserfc import jwt as jose
from joserfc.errors import JoseError
from joserfc.jwk import KeyFlexible
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.openid_provider import OpenIdProvider
from tests.support.serving import open_port, serving_config

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPE = "urn:ietf:params:oauth:token-type:"


class RefusedError(Exception):
    """What the token endpoint answers in place of a token."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


@dataclass
class RegisteredClient:
    """How a client proves to be itself: by its secret, by a key whose public half is `key`, or by neither."""

    secret: str = ""
    key: KeyFlexible | None = None
    methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    seen: set[str] = field(default_factory=set)


@dataclass
class Exchanges:
    """Who may have tokens for what, and what goes wrong.

    `clock_offset` is how many seconds its clock is ahead. `answer` is given to every request for a token in place of
    what it would answer: down, endless, no_json, same_token, other_type, no_end or fewer_scopes; `gate` keeps all
    waiting until it is set.
    """

    clients: dict[str, RegisteredClient] = field(default_factory=dict)
    audiences: set[str] = field(default_factory=set)
    seconds: int = 300
    clock_offset: float = 0.0
    answer: str = ""
    refusal: str = ""
    gate: anyio.Event | None = None


class TokenProvider(OpenIdProvider):
    """`requests` are the forms that were granted or refused, `issued` the tokens by their kind.

    `refresh_tokens` are those in force, with the subject and client of each; `revoked` what was given back. Refusals
    name a time that is `date_offset` seconds ahead. Who signs in has the claims `signs_in`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchanges = Exchanges()
        self.requests: list[dict[str, str]] = []
        self.asked = anyio.Event()
        self.under_way = self.most_under_way = 0
        self.metadata_fetches = 0
        self.more_metadata: dict[str, Any] = {}
        self.date_offset: float = 0.0
        self.signs_in: dict[str, Any] = {"sub": "ada", "preferred_username": "ada", "groups": ["people"]}
        self.sign_in_seconds = 300
        self._codes: dict[str, dict[str, Any]] = {}
        self.refresh_tokens: dict[str, tuple[str, str]] = {}
        self.revoked: list[dict[str, str]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[TokenProvider]:
        with open_port() as (listening, self.url):
            # It tells the time itself.
            config = uvicorn.Config(
                self.application(),
                log_config=None,
                access_log=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
            async with serving_config(listening, config):
                yield self

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/revoke", self._revoke, methods=["POST"]),
        ]

    def metadata(self) -> dict[str, Any]:
        self.metadata_fetches += 1
        return {
            **super().metadata(),
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "revocation_endpoint": f"{self.url}/revoke",
            **self.more_metadata,
        }

    def id_token(self, client_id: str, **claims: Any) -> str:
        """An ID token, as a sign-in of `client_id` leads to."""
        return self.token(**{"aud": client_id, **claims})

    def refresh_token(self, client_id: str, subject: str = "ada") -> str:
        """A refresh token of a sign-in."""
        token = secrets.token_urlsafe()
        self.refresh_tokens[token] = (subject, client_id)
        return token

    async def _authorize(self, request: Request) -> Response:
        """Somebody who always agrees: `signs_in`."""
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = {**asked, "claims": self.signs_in}
        answer = urlencode({"code": code, "state": asked["state"], "iss": self.url})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}", 302)

    def _signed_in(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        """OpenID Connect Core, section 3.1.3, with RFC 7636."""
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or (asked["code_challenge"], asked["client_id"]) != (proof, client_id):
            raise RefusedError("invalid_grant")
        if asked["redirect_uri"] != form.get("redirect_uri"):
            raise RefusedError("invalid_grant")
        claims = {**asked["claims"], "nonce": asked["nonce"]}
        body = self._issue(claims["sub"], client_id, client_id, "openid", "")
        del body["issued_token_type"]
        body["id_token"] = self.id_token(client_id, **claims, exp=int(time.time()) + self.sign_in_seconds)
        if "offline_access" in asked["scope"].split():
            body["refresh_token"] = self.refresh_token(client_id, claims["sub"])
        return body

    async def _token(self, request: Request) -> Response:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.asked.set()
            if self.exchanges.gate is not None:
                await self.exchanges.gate.wait()
            return await self._granted(request)
        except RefusedError as refused:
            body = {"error": refused.error, "error_description": "what was sent: " + self.requests[-1].get("scope", "")}
            return JSONResponse(body, refused.status, {"Date": formatdate(time.time() + self.date_offset, usegmt=True)})
        finally:
            self.under_way -= 1

    async def _granted(self, request: Request) -> Response:
        if self.is_down or self.exchanges.answer == "down":
            return Response(status_code=503)
        if self.exchanges.answer == "endless":
            return StreamingResponse(_blanks(), media_type="application/json")
        if self.exchanges.answer == "no_json":
            return Response("<html>", media_type="text/html")
        form = await self._read(request)
        client_id = self._authenticated(request, form)
        if self.exchanges.refusal:
            raise RefusedError(self.exchanges.refusal)
        kind = form.get("grant_type", "")
        if kind == EXCHANGE:
            body = self._exchanged(client_id, form)
        elif kind == JWT_BEARER:
            body = self._on_behalf_of(client_id, form)
        elif kind == "authorization_code":
            body = self._signed_in(client_id, form)
        elif kind == "refresh_token":
            body = self._refreshed(client_id, form)
        else:
            raise RefusedError("unsupported_grant_type")
        if self.exchanges.answer == "no_end":
            del body["expires_in"]
        if self.exchanges.answer == "same_token":
            body["access_token"] = form.get("subject_token") or form["assertion"]
        if self.exchanges.answer == "other_type":
            body["issued_token_type"] = f"{TYPE}saml2"
        if self.exchanges.answer == "fewer_scopes":
            body["scope"] = form["scope"].split()[0]
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def _read(self, request: Request) -> dict[str, str]:
        if not request.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            raise RefusedError("invalid_request")
        pairs = parse_qsl((await request.body()).decode(), strict_parsing=True)
        self.requests.append(dict(pairs))
        # RFC 6749, section 3.2: no parameter more than once, and none without a value counts.
        if len(dict(pairs)) != len(pairs):
            raise RefusedError("invalid_request")
        return dict(pairs)

    def _authenticated(self, request: Request, form: dict[str, str]) -> str:
        """The client, after it has proven to be itself in one way only (RFC 6749, section 2.3)."""
        authorization = request.headers.get("authorization", "")
        if authorization.startswith("Basic "):
            user, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            client_id, method, proof = unquote(user), "client_secret_basic", unquote(secret)
            if "client_secret" in form or "client_assertion" in form:
                raise RefusedError("invalid_request")
        elif "client_assertion" in form:
            return self._asserted(form)
        elif request.url.scheme == "https":
            # Whoever came this far has shown a certificate (RFC 8705).
            client_id, method, proof = form.get("client_id", ""), "tls_client_auth", ""
        else:
            client_id, method, proof = form.get("client_id", ""), "client_secret_post", form.get("client_secret", "")
        client = self.exchanges.clients.get(client_id)
        if client is None or method not in client.methods or client.secret != proof:
            raise RefusedError("invalid_client", 401)
        return client_id

    def _asserted(self, form: dict[str, str]) -> str:
        """RFC 7523, section 3."""
        client = self.exchanges.clients.get(form.get("client_id", ""))
        if form.get("client_assertion_type") != ASSERTION or client is None or client.key is None:
            raise RefusedError("invalid_client", 401)
        try:
            token = jose.decode(form["client_assertion"], client.key, algorithms=["RS256", "PS256", "ES256"])
        except (JoseError, ValueError):
            raise RefusedError("invalid_client", 401) from None
        claims, now = token.claims, time.time() + self.exchanges.clock_offset
        in_force = claims["iat"] - 5 <= now < claims["exp"] and claims["exp"] - claims["iat"] <= 60
        named = (claims["iss"], claims["sub"], claims["aud"])
        if not in_force or named != (form["client_id"], form["client_id"], f"{self.url}/token"):
            raise RefusedError("invalid_client", 401)
        if claims["jti"] in client.seen:
            raise RefusedError("invalid_client", 401)
        client.seen.add(claims["jti"])
        return form["client_id"]

    def _exchanged(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        """RFC 8693, section 2.1."""
        if not form.get("subject_token") or not form.get("subject_token_type"):
            raise RefusedError("invalid_request")
        if form.get("requested_token_type") == f"{TYPE}id-jag":
            return self._vouched(client_id, form)
        if form["subject_token_type"] != f"{TYPE}access_token":
            raise RefusedError("invalid_request")
        subject = self._subject(form["subject_token"])
        audience = form.get("audience") or form.get("resource") or ""
        if audience not in self.exchanges.audiences:
            raise RefusedError("invalid_target")
        return self._issue(subject, audience, client_id, form.get("scope", ""), f"{TYPE}access_token")

    def _on_behalf_of(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        if form.get("requested_token_use") != "on_behalf_of" or not form.get("scope"):
            raise RefusedError("invalid_request")
        claims = self._claims(form.get("assertion", ""))
        if claims["aud"] != client_id:
            raise RefusedError("invalid_grant")
        audience = form["scope"].split()[0].rpartition("/")[0]
        if audience not in self.exchanges.audiences:
            raise RefusedError("invalid_scope")
        body = self._issue(claims["sub"], audience, client_id, form["scope"], "")
        del body["issued_token_type"]
        return body

    def _refreshed(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        subject, owner = self.refresh_tokens.pop(form.get("refresh_token", ""), ("", ""))
        if not subject or owner != client_id:
            raise RefusedError("invalid_grant")
        body = self._issue(subject, client_id, client_id, "openid", "")
        del body["issued_token_type"]
        return {
            **body,
            "id_token": self.id_token(client_id, sub=subject),
            "refresh_token": self.refresh_token(client_id, subject),
        }

    def _vouched(self, client_id: str, form: dict[str, str]) -> dict[str, Any]:
        """draft-ietf-oauth-identity-assertion-authz-grant, section 4.3."""
        if form["subject_token_type"] == f"{TYPE}refresh_token":
            subject, owner = self.refresh_tokens.get(form["subject_token"], ("", ""))
        elif form["subject_token_type"] == f"{TYPE}id_token":
            claims = self._claims(form["subject_token"])
            subject, owner = claims["sub"], claims["aud"]
        else:
            raise RefusedError("invalid_request")
        if not subject or owner != client_id:
            raise RefusedError("invalid_grant")
        audience = form.get("audience", "")
        if audience not in self.exchanges.audiences:
            raise RefusedError("invalid_target")
        named = {name: form[name] for name in ("resource", "scope") if name in form}
        id_jag = self.token(
            headers={"typ": "oauth-id-jag+jwt"},
            sub=subject,
            aud=audience,
            client_id="gateway-there",
            jti=secrets.token_urlsafe(),
            **named,
        )
        return {
            "issued_token_type": f"{TYPE}id-jag",
            "access_token": id_jag,
            "token_type": "N_A",
            "expires_in": self.exchanges.seconds,
        }

    def _subject(self, token: str) -> str:
        return str(self._claims(token)["sub"])

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return self.read(token)
        except (jwt.PyJWTError, KeyError):
            raise RefusedError("invalid_grant") from None

    def _issue(self, subject: str, audience: str, client_id: str, scope: str, kind: str) -> dict[str, Any]:
        seconds = self.exchanges.seconds
        claims: dict[str, Any] = {"sub": subject, "aud": audience, "azp": client_id, "scope": scope or None}
        return {
            "access_token": self.token(exp=int(time.time()) + seconds, jti=secrets.token_urlsafe(), **claims),
            "token_type": "Bearer",
            "expires_in": seconds,
            "issued_token_type": kind,
        }

    async def _revoke(self, request: Request) -> Response:
        """RFC 7009: a token that is not known is as good as revoked."""
        try:
            form = await self._read(request)
            self._authenticated(request, form)
        except RefusedError as refused:
            return JSONResponse({"error": refused.error}, refused.status)
        self.requests.pop()
        self.revoked.append(form)
        self.refresh_tokens.pop(form["token"], None)
        return Response()


async def _blanks() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536
        await anyio.lowlevel.checkpoint()
