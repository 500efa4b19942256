"""Who makes a request: the credential of a request, and the answer where there is none in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import Response
from starlette.types import Scope

from gateway.access.caller import Caller, Right
from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.audit.refusal_log import RefusalLog
from gateway.downstream.jsonrpc import FORBIDDEN, LIMIT_EXCEEDED, PROFILE_NOT_FOUND, UNAUTHORIZED, error_response
from gateway.edge.forwarded_headers import VIA_TRUSTED_PROXY
from gateway.edge.root_path import root_path_of
from gateway.errors import CredentialError, ForbiddenError, LimitError, NotFoundError, RoleMissingError

PROFILES_PATH = "/mcp/p/"
_OF_THE_GATEWAY = ("authorization", "x-api-key", "cookie")
METADATA_PATH = "/.well-known/oauth-protected-resource"


class Authentication:
    """Finds the caller of a request."""

    def __init__(self, authenticator: CallerAuthenticator, refusal_log: RefusalLog, *, has_provider: bool) -> None:
        """`has_provider` says that access tokens of an OpenID provider are accepted too, and clients told of it."""
        self._authenticator = authenticator
        self._refusal_log = refusal_log
        self._has_provider = has_provider

    async def authenticate(self, scope: Scope) -> Caller:
        """The caller of the request. Raises what `CallerAuthenticator.authenticate` raises."""
        client = scope.get("client")
        address = client[0] if client else ""
        credential, profile = _read_credential(scope), profile_from_path(scope["path"])
        try:
            caller = await self._authenticator.authenticate(credential, profile)
            return replace(caller, address=address, proxy_headers=_proxy_headers(scope), base_url=base_url(scope))
        except (CredentialError, RoleMissingError) as error:
            self._refusal_log.record(address, scope["path"], error.message)
            raise

    async def count_request(self, caller: Caller) -> None:
        """Count a request of a caller that was let in. Raises LimitError."""
        try:
            await self._authenticator.limiter.count_request(caller)
        except LimitError as error:
            self._refusal_log.record(caller.address, f"key {caller.key_name}", error.message)
            raise

    def require_right(self, caller: Caller, right: Right, path: str) -> None:
        """Raises ForbiddenError for a caller without `right`, which is what it takes at `path`."""
        if right in caller.rights:
            return
        error = ForbiddenError(
            f"This API key does not have the right {right}; make one with `modelgate keys create --right {right}`."
        )
        self._refusal_log.record(caller.address, path, error.message)
        raise error

    def refuse(self, error: CredentialError | RoleMissingError | NotFoundError | LimitError, scope: Scope) -> Response:
        """401, 403, 404 or 429 with what was wrong, never the credential."""
        if isinstance(error, LimitError):
            data = {"limit": error.limit, "retryAfter": error.retry_after}
            response = error_response(None, LIMIT_EXCEEDED, error.message, data, status=429)
            response.headers["Retry-After"] = str(error.retry_after)
            return response
        if isinstance(error, NotFoundError):
            return error_response(None, PROFILE_NOT_FOUND, error.message, status=404)
        forbidden = isinstance(error, RoleMissingError)
        code, status = (FORBIDDEN, 403) if forbidden else (UNAUTHORIZED, 401)
        response = error_response(None, code, error.message, status=status)
        response.headers["WWW-Authenticate"] = self._challenge(scope, forbidden)
        return response

    def _challenge(self, scope: Scope, forbidden: bool) -> str:
        """RFC 6750, and RFC 9728 for where a client finds out how to sign in."""
        parts = ['Bearer realm="modelgate"']
        if forbidden:
            parts.append('error="insufficient_scope"')
        elif _read_credential(scope) is not None:
            parts.append('error="invalid_token"')
        if self._has_provider:
            parts.append(f'resource_metadata="{base_url(scope)}{METADATA_PATH}{scope["path"].rstrip("/")}"')
        return ", ".join(parts)


def bind_caller(scope: Scope, caller: Caller) -> None:
    """Let what answers the request know whose it is.

    The SDK binds a session to the credential that opened it only when `scope["user"]` is its own user class.
    """
    scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller.identity, scopes=[]))
    scope.setdefault("state", {})["caller"] = caller


def bound_caller(scope: Scope) -> Caller | None:
    """Whose the request is, None where no caller is bound to it."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    return caller


def profile_from_path(path: str) -> str | None:
    """The name of the profile whose endpoint is at `path`, None for the general endpoint."""
    return path.rstrip("/").removeprefix(PROFILES_PATH) if path.startswith(PROFILES_PATH) else None


def base_url(scope: Scope) -> str:
    """The gateway's address as the client wrote it; the Host header has been looked at before."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return f"{scope['scheme']}://{host}{root_path_of(scope)}"


def _proxy_headers(scope: Scope) -> dict[str, str]:
    """The headers that a trusted proxy put on a request, names in lower case, without those that let it in here.

    Of one that stands there twice nobody knows which the proxy wrote, and which the client.
    """
    if VIA_TRUSTED_PROXY not in scope:
        return {}
    given = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    times = Counter(name for name, _ in given)
    return {name: value for name, value in given if times[name] == 1 and name not in _OF_THE_GATEWAY}


def _read_credential(scope: Scope) -> str | None:
    """The key or token of the request's headers; Authorization goes before X-API-Key."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key", b"").decode("latin-1").strip() or None
