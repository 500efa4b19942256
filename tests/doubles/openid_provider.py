"""An OpenID provider over a socket: discovery, keys that can be rotated, and tokens signed with any of them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.types import Options
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.serving import serving

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class OpenIdProvider:
    """`url` is the issuer, `key_fetches` how often the keys were asked for; while `is_down`, nothing is answered."""

    def __init__(self) -> None:
        self.url = ""
        self.key_fetches = 0
        self.is_down = False
        self._keys: dict[str, tuple[PrivateKey, str]] = {}
        self.add_key("first")

    def add_key(self, kid: str, algorithm: str = "RS256") -> None:
        """Publish one more key."""
        self._keys[kid] = (_generate_key(algorithm), algorithm)

    def remove_key(self, kid: str) -> None:
        """Publish a key no longer."""
        del self._keys[kid]

    def public_key_of(self, kid: str) -> Any:
        return self._keys[kid][0].public_key()

    def token(self, kid: str = "first", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is in order, but for what `claims` say; a claim that is None is left out."""
        key, algorithm = self._keys[kid]
        return jwt.encode(self.claims(**claims), key, algorithm, headers={"kid": kid, **(headers or {})})

    def claims(self, **claims: Any) -> dict[str, Any]:
        now = int(time.time())
        usual = {"iss": self.url, "aud": "http://gateway/mcp", "sub": "ada", "iat": now, "exp": now + 300, **claims}
        return {name: value for name, value in usual.items() if value is not None}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[OpenIdProvider]:
        """Answer until the block ends."""
        async with serving(self.application()) as url:
            self.url = url
            yield self

    def application(self) -> Starlette:
        """What answers."""
        return Starlette(routes=self.routes())

    def routes(self) -> list[Route]:
        """What it answers at."""
        return [Route("/.well-known/openid-configuration", self._discovery), Route("/keys", self._key_set)]

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a token that it signed and that is in force; raises what PyJWT does, and KeyError."""
        kid = jwt.get_unverified_header(token)["kid"]
        options: Options = {"require": ["exp", "iss", "sub"], "verify_aud": False}
        algorithm = self._keys[kid][1]
        return dict(jwt.decode(token, self.public_key_of(kid), [algorithm], issuer=self.url, options=options))

    async def _discovery(self, _: Request) -> Response:
        return self._answer(self.metadata())

    async def _key_set(self, _: Request) -> Response:
        self.key_fetches += 1
        keys = []
        for kid, (key, algorithm) in self._keys.items():
            write = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            public = json.loads(write.to_jwk(key.public_key()))  # type: ignore[arg-type]
            keys.append({**public, "kid": kid, "use": "sig", "alg": algorithm})
        return self._answer({"keys": keys})

    def _answer(self, body: dict[str, Any]) -> Response:
        return Response(status_code=503) if self.is_down else JSONResponse(body)


def _generate_key(algorithm: str) -> PrivateKey:
    if algorithm.startswith("ES"):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
