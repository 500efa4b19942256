"""Requests that have no reply yet."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST

from gateway.bridge.stdio_client import StdioClient, is_request_id
from gateway.json_codec import Message

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 100


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request, and the `sink` that hears its reply. `internal` is one that the client does not know of.

    `settled` is set once it has a reply, needs none, or another takes its place; `error` is then what went wrong.
    """

    message: Message
    internal: bool = False
    is_retry: bool = False
    sink: object = None
    settled: anyio.Event = field(default_factory=anyio.Event)
    error: str = ""

    @property
    def id(self) -> Any:
        return self.message["id"]


class PendingRequests:
    """The requests of one client, and those made for it."""

    def __init__(self, client: StdioClient) -> None:
        self._client = client
        self._requests: dict[Any, PendingRequest] = {}
        self._internal_ids = f"modelgate-connect-{secrets.token_hex(8)}"
        self._internal_count = 0

    def add(self, message: Message) -> bool:
        """Take a request of the client in; one under the id of another in flight is refused."""
        request_id = message["id"]
        if request_id in self._requests:
            shown = repr(request_id)[:_SHOWN_CHARACTERS]
            text = f"A request with the id {shown} is in flight already; give each request an id of its own."
            self._client.send_error(request_id, INVALID_REQUEST, text)
            return False
        self._requests[request_id] = PendingRequest(message)
        return True

    def create_internal(self, message: Message) -> PendingRequest:
        """A request like `message`, under an id that no client has."""
        self._internal_count += 1
        request = PendingRequest({**message, "id": f"{self._internal_ids}-{self._internal_count}"}, internal=True)
        self._requests[request.id] = request
        return request

    def retry(self, request: PendingRequest) -> PendingRequest:
        """The same request, to be sent a second time."""
        second = self._requests[request.id] = PendingRequest(request.message, is_retry=True)
        request.settled.set()
        return second

    def get(self, request_id: object) -> PendingRequest | None:
        return self._requests.get(request_id) if is_request_id(request_id) else None

    def sent_on(self, sink: object) -> list[PendingRequest]:
        """Those that were sent on the transport of `sink`; with None, those that were not sent."""
        return [request for request in self._requests.values() if request.sink is sink]

    def all(self) -> list[PendingRequest]:
        return list(self._requests.values())

    def resolve(self, reply: Message) -> PendingRequest | None:
        """Give a reply to whom it is for. Returns the request, None where nobody waits for it."""
        request = self.remove(reply.get("id"))
        if request is None:
            return None
        error = reply.get("error")
        request.error = str(error.get("message")) if isinstance(error, dict) else ""
        if not request.internal:
            self._client.send(reply)
        return request

    def remove(self, request_id: object) -> PendingRequest | None:
        """Wait no longer for a request. Returns it, None where there is none."""
        request = self.get(request_id)
        if request is not None:
            del self._requests[request_id]
            request.settled.set()
        return request

    def fail(self, request: PendingRequest, why: str) -> None:
        """Answer a request with what went wrong, unless it is answered."""
        if self._requests.get(request.id) is not request:
            return
        logger.error("%s", why)
        request.error = why
        self.remove(request.id)
        if not request.internal:
            self._client.send_error(request.id, CONNECTION_CLOSED, why)
