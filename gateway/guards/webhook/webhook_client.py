"""The HTTP client of all webhooks: bounded in bytes, with connections that are used again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import GuardError, InvalidInputError
from gateway.upstream.http.guarded_backend import guard_connections
from gateway.upstream.policy import ConnectionPolicy, parse_address

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""How large an answer may be."""
# Far beyond any budget, which is what bounds the time.
_TOTAL_SECONDS = 90.0
_KEEPALIVE_SECONDS = 60.0
_MAX_CONNECTIONS = 200


class WebhookClient:
    """Posts to webhooks, where the policy for connections of servers lets it."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self._policy = policy
        self._clients: dict[bool, BoundedHttpClient] = {}

    def check_url(self, url: str) -> None:
        """Raise InvalidInputError for an address that nothing may be sent to."""
        reason = self._policy.url_refusal(url)
        if reason is not None:
            raise InvalidInputError(f"The webhook is not asked: {reason}; correct its url.", "options.url")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The body of the answer, which has the status 200. Raises GuardError."""
        client = self._client(url)
        try:
            response = await client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
        except httpx2.DecodingError as error:
            raise GuardError(f"its webhook sent what cannot be read: {error}") from None
        except (httpx2.ConnectError, httpx2.TimeoutException):
            raise GuardError("its webhook does not answer") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise GuardError("its webhook broke off the connection") from None
        finally:
            # One client serves the webhooks of all tenants.
            client.cookies.clear()
        if response.status_code != 200:
            raise GuardError(f"its webhook answered with HTTP {response.status_code}")
        return response.content

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            with contextlib.suppress(httpx2.HTTPError):
                await client.aclose()

    def _client(self, url: str) -> BoundedHttpClient:
        host = urlsplit(url).hostname or ""
        address = parse_address(host)
        # A proxy of the environment cannot reach this machine.
        is_here = host == "localhost" or (address is not None and address.is_loopback)
        if is_here not in self._clients:
            client = BoundedHttpClient(
                total_seconds=_TOTAL_SECONDS,
                max_bytes=MAX_ANSWER_BYTES,
                trust_env=not is_here,
                limits=httpx2.Limits(
                    max_connections=_MAX_CONNECTIONS,
                    max_keepalive_connections=_MAX_CONNECTIONS,
                    keepalive_expiry=_KEEPALIVE_SECONDS,
                ),
            )
            guard_connections(client, self._policy, "of a guard's webhook")
            self._clients[is_here] = client
        return self._clients[is_here]
