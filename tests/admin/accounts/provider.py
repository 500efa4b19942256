"""A small OpenID provider on a real port, which signs in whoever its `claims` say."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from tests.support.serving import open_port, serving_at

CLIENT_ID = "modelgate"


class Provider:
    """`claims` go into the ID token, `user_info` to the userinfo endpoint; `change` alters a token before signing.

    `metadata` adds to what the provider says of itself, `answer` to what the browser comes back with; `sign` makes a
    token of claims, `token_requests` are the Authorization header and form of each request for a token.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.claims: dict[str, Any] = {"sub": "u1", "preferred_username": "ida", "groups": ["ops"]}
        self.user_info: dict[str, Any] = {}
        self.change: dict[str, Any] = {}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signs_with = self.key
        self.sign: Callable[[dict[str, Any]], str] = self._sign
        self.metadata: dict[str, Any] = {}
        self.answer: dict[str, str] = {}
        self.token_requests: list[tuple[str | None, dict[str, str]]] = []
        self._codes: dict[str, dict[str, str]] = {}

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discover),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._user_info),
            ]
        )

    async def _discover(self, _: Request) -> JSONResponse:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        named = {name: f"{self.url}/{end}" for name, end in ends.items()}
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **named, **self.metadata})

    async def _keys(self, _: Request) -> JSONResponse:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return JSONResponse({"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]})

    async def _authorize(self, request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], **self.answer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: Request) -> JSONResponse:
        form = await request.form()
        fields = {name: str(value) for name, value in form.items()}
        self.token_requests.append((request.headers.get("authorization"), fields))
        asked = self._codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        token = self.sign({**claims, **self.claims, **self.change})
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.signs_with, algorithm="RS256", headers={"kid": "k1"})

    async def _user_info(self, _: Request) -> JSONResponse:
        return JSONResponse(self.user_info)


@contextlib.asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    """Serve a provider until the block ends."""
    with open_port() as (listening, url):
        provider = Provider(url)
        async with serving_at(listening, provider.application(), shutdown_seconds=None):
            yield provider
