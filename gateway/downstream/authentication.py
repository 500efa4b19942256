"""Letting requests in: the API key of a request, and the answer where there is none in force."""

from __future__ import annotations

import json

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import Response
from starlette.types import Scope

from gateway.access.caller import Caller
from gateway.access.keys import KeyRing
from gateway.errors import CredentialError

# JSON-RPC leaves the codes above -32000 to applications.
UNAUTHORIZED = -31401


class Authentication:
    """Finds the caller of a request and binds it to the request."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def let_in(self, scope: Scope) -> Caller:
        """The caller of the request. Raises CredentialError.

        The SDK binds a session to the credential that opened it only when `scope["user"]` is its own user class.
        """
        caller = await self._keys.authenticate(_key_of(scope))
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=f"key-{caller.key_id}", scopes=[]))
        scope.setdefault("state", {})["caller"] = caller
        return caller


def refusal(error: CredentialError) -> Response:
    """401 with what was wrong with the key, never the key."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": UNAUTHORIZED, "message": error.message}}
    return Response(
        json.dumps(body, ensure_ascii=False),
        status_code=401,
        media_type="application/json",
        headers={"WWW-Authenticate": 'Bearer realm="modelgate"'},
    )


def _key_of(scope: Scope) -> str | None:
    """The key of the request's headers; Authorization goes before X-API-Key."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key", b"").decode("latin-1").strip() or None
