"""Requests that have no reply yet."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST

from gateway.bridge.stdio_client import Client, is_id
from gateway.json_codec import Message

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 100


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request, and what hears of it: whatever it was sent on. `own` is one that the client does not know of.

    `settled` is set once it has a reply, needs none, or another takes its place; `error` is then what went wrong.
    """

    message: Message
    own: bool = False
    again: bool = False
    ear: object = None
    settled: anyio.Event = field(default_factory=anyio.Event)
    error: str = ""

    @property
    def id(self) -> Any:
        return self.message["id"]


class InFlight:
    """The requests of one client, and those made for it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._requests: dict[Any, PendingRequest] = {}
        self._own_ids = f"modelgate-connect-{secrets.token_hex(8)}"
        self._own_count = 0

    def admit(self, message: Message) -> bool:
        """Take a request of the client in; one under the id of another in flight is refused."""
        request_id = message["id"]
        if request_id in self._requests:
            shown = repr(request_id)[:_SHOWN_CHARACTERS]
            text = f"A request with the id {shown} is in flight already; give each request an id of its own."
            self._client.refuse(request_id, INVALID_REQUEST, text)
            return False
        self._requests[request_id] = PendingRequest(message)
        return True

    def own(self, message: Message) -> PendingRequest:
        """A request like `message`, under an id that no client has."""
        self._own_count += 1
        request = PendingRequest({**message, "id": f"{self._own_ids}-{self._own_count}"}, own=True)
        self._requests[request.id] = request
        return request

    def again(self, request: PendingRequest) -> PendingRequest:
        """The same request, to be sent a second time."""
        second = self._requests[request.id] = PendingRequest(request.message, again=True)
        request.settled.set()
        return second

    def by_id(self, request_id: object) -> PendingRequest | None:
        return self._requests.get(request_id) if is_id(request_id) else None

    def heard_by(self, ear: object) -> list[PendingRequest]:
        """Those that were sent on the wire of `ear`; with None, those that were not sent."""
        return [request for request in self._requests.values() if request.ear is ear]

    def all(self) -> list[PendingRequest]:
        return list(self._requests.values())

    def settle(self, reply: Message) -> PendingRequest | None:
        """Give a reply to whom it is for. Returns the request, None where nobody waits for it."""
        request = self.drop(reply.get("id"))
        if request is None:
            return None
        error = reply.get("error")
        request.error = str(error.get("message")) if isinstance(error, dict) else ""
        if not request.own:
            self._client.tell(reply)
        return request

    def drop(self, request_id: object) -> PendingRequest | None:
        """Wait no longer for a request. Returns it, None where there is none."""
        request = self.by_id(request_id)
        if request is not None:
            del self._requests[request_id]
            request.settled.set()
        return request

    def give_up(self, request: PendingRequest, why: str) -> None:
        """Answer a request with what went wrong, unless it is answered."""
        if self._requests.get(request.id) is not request:
            return
        logger.error("%s", why)
        request.error = why
        self.drop(request.id)
        if not request.own:
            self._client.refuse(request.id, CONNECTION_CLOSED, why)
