"""A server that ranks, over HTTP: one request at a time of each search, bounded in bytes; who asks bounds the time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.embedding.servers.server_address import LOOPBACK, display_url, parse_api_key
from gateway.embedding.servers.server_reply import ServerReply
from gateway.errors import RerankError

_CONNECT_SECONDS = 5.0
# Far beyond what any search waits: who asks bounds the time.
_TOTAL_SECONDS = 60.0
_MAX_REPLY_BYTES = 2 * 2**20


class RerankHttpClient:
    """Posts JSON below `base_url`. The API key is sent as a bearer token and appears in no message."""

    def __init__(self, base_url: str, *, name: str, api_key: str = "", section: str = "rerank") -> None:
        """`name` is what the server is called in messages, `section` where its settings stand.

        Raises SettingsError for a `base_url` that is not http:// or https:// with a host, and for an `api_key` that
        does not fit into a header.
        """
        self._url = base_url.rstrip("/")
        shown = display_url(self._url, setting=f"{section}.base_url", example="http://localhost:8080")
        self.label = f"{name} at {shown}"
        self._api_key = parse_api_key(api_key, setting=f"{section}.api_key")
        parts = urlsplit(self._url)
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        self._client = BoundedHttpClient(
            total_seconds=_TOTAL_SECONDS,
            max_bytes=_MAX_REPLY_BYTES,
            headers=headers,
            verify=parts.scheme == "https",
            # A proxy of the environment cannot reach a server on this machine.
            trust_env=parts.hostname not in LOOPBACK,
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, keepalive_expiry=30.0),
        )

    async def post(self, path: str, body: dict[str, Any]) -> ServerReply:
        """The reply to `body` sent to `path`, whatever its status.

        Raises RerankError where there is none, or one that is over 2 MiB or a success that is not JSON.
        """
        try:
            status, content = await self._send(path, body)
        except httpx2.ConnectError as error:
            raise RerankError(f"{self.label} does not answer") from error
        except httpx2.TimeoutException as error:
            raise RerankError(f"{self.label} does not answer") from error
        except httpx2.DecodingError as error:
            raise RerankError(f"{self.label} sent what cannot be read: {error}") from None
        except httpx2.TransportError as error:
            raise RerankError(f"{self.label} broke off the connection") from error
        except httpx2.HTTPError as error:
            raise RerankError(f"{self.label} sent an answer that is not HTTP") from error
        reply = ServerReply.parse(status, content)
        if reply.ok and reply.json is None:
            raise RerankError(f"{self.label} answered something that is not JSON")
        return reply

    def refusal(self, reply: ServerReply) -> RerankError:
        """The error for a reply that is no success."""
        # Who is refused for a key is often told parts of it.
        text = "" if reply.status in (401, 403) else reply.error_text(self._api_key)
        return RerankError(f"{self.label} answered with HTTP {reply.status}{f' ({text})' if text else ''}")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _send(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        response = await self._client.post(self._url + path, json=body)
        return response.status_code, response.content


def is_unknown_route(reply: ServerReply) -> bool:
    """Whether the server has no such path: one that lacks the model says so, with the same status."""
    return reply.status in (404, 405, 501) and "model" not in reply.error_text().lower()
