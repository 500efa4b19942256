"""HTTP requests and answers as they go between processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope

from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.edge.forwarded_headers import VIA_TRUSTED_PROXY
from gateway.edge.request_context import REQUEST_ID_HEADER
from gateway.errors import LinkFailedError, LinkLostError
from gateway.telemetry.trace_context import TRACEPARENT, TRACESTATE, current_request_id, current_trace

FORWARDED_KEY = "modelgate.forwarded"
"""In the scope of a request that came from another member: from which, and what it has done with it."""

CHUNK_BYTES = 64 * 1024
"""What goes over in one message of a body."""

_SCOPE_TEXTS = ("http_version", "method", "scheme", "path", "root_path")


@dataclass(frozen=True, slots=True)
class ForwardedFrom:
    """The member that has a request from its client. `is_counted` says that it has counted it; `running` is the number
    by which the answer is being made there already, None where it is not.
    """

    member_id: str
    is_counted: bool = False
    running: int | None = None


class WireAnswer:
    """The answer of a request as it goes over: its beginning with the first of the body, but for streams, which have
    begun when their clients see it. The version before takes the two apart.
    """

    def __init__(self, stream: LinkStream, *, takes_whole: bool) -> None:
        self._stream = stream
        self._takes_whole = takes_whole
        self._start: dict[str, Any] | None = None

    async def send(self, message: Message) -> None:
        """Send what an application sends. Raises LinkLostError and LinkFailedError."""
        if message["type"] == "http.response.start":
            headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in message["headers"]]
            start = {"status": message["status"], "headers": headers}
            if self._takes_whole and not _is_stream(message):
                self._start = start
            else:
                await self._stream.send(start)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self._start = self._start or {}, None
        while True:
            chunk, body = body[:CHUNK_BYTES], body[CHUNK_BYTES:]
            await self._stream.send({**start, "more": bool(body) or more}, chunk)
            start = {}
            if not body:
                return


class WireBody:
    """The body of a request as it comes over, and that its client has left when it does."""

    def __init__(self, stream: LinkStream, body: bytes | None) -> None:
        """`body` is the whole one, where it has come with the request."""
        self._stream = stream
        self._body = body
        self._is_complete = body is not None

    async def receive(self) -> Message:
        """What an application receives."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        try:
            message = await self._stream.receive()
        except (LinkLostError, LinkFailedError):
            return {"type": "http.disconnect"}
        if self._is_complete or "more" not in message.head:
            return {"type": "http.disconnect"}
        self._is_complete = not message.head["more"]
        return {"type": "http.request", "body": message.body, "more_body": message.head["more"]}


def _is_stream(start: Message) -> bool:
    return any(name.lower() == b"content-type" and b"event-stream" in value for name, value in start["headers"])


async def send_body(stream: LinkStream, receive: Receive) -> None:
    """Send what the client sends, and that it has left."""
    with contextlib.suppress(LinkLostError, LinkFailedError):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                await stream.send({"disconnect": True})
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            while True:
                chunk, body = body[:CHUNK_BYTES], body[CHUNK_BYTES:]
                await stream.send({"more": bool(body) or more}, chunk)
                if not body:
                    break


def scope_to_wire(scope: Scope) -> dict[str, Any]:
    """What `scope_from_wire` makes a scope of at another member."""
    return {
        **{name: scope.get(name, "") for name in _SCOPE_TEXTS},
        "query": scope.get("query_string", b"").decode("latin-1"),
        "raw_path": (scope.get("raw_path") or b"").decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in _traced_headers(scope)],
        "client": scope.get("client"),
        "server": scope.get("server"),
        "via_trusted_proxy": VIA_TRUSTED_PROXY in scope,
        "takes_whole": True,
    }


def _traced_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The client's, with the id of the request and the span that is current here in place of its own."""
    trace, request_id = current_trace(), current_request_id()
    said = {
        **(dict.fromkeys((TRACEPARENT, TRACESTATE), "") | trace.members() if trace is not None else {}),
        **({REQUEST_ID_HEADER: request_id} if request_id else {}),
    }
    own = {name.encode(): text.encode() for name, text in said.items()}
    headers = [(name, value) for name, value in scope["headers"] if name not in own]
    return headers + [(name, value) for name, value in own.items() if value]


def scope_from_wire(wire: dict[str, Any], member_id: str) -> Scope:
    """The scope of a request that the member with this id has from its client."""
    running = wire.get("running")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        **{name: wire[name] for name in _SCOPE_TEXTS},
        "query_string": wire["query"].encode("latin-1"),
        "raw_path": wire["raw_path"].encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire["headers"]],
        "client": None if wire["client"] is None else tuple(wire["client"]),
        "server": None if wire["server"] is None else tuple(wire["server"]),
        "state": {},
        FORWARDED_KEY: ForwardedFrom(
            member_id, is_counted=bool(wire.get("counted")), running=None if running is None else int(running)
        ),
        **({VIA_TRUSTED_PROXY: True} if wire.get("via_trusted_proxy") else {}),
    }


def response_from_wire(message: LinkMessage) -> Iterator[Message]:
    """The beginning of an answer, a part of its body, or both."""
    head = message.head
    if "status" in head:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]]
        yield {"type": "http.response.start", "status": head["status"], "headers": headers}
    if "more" in head:
        yield {"type": "http.response.body", "body": message.body, "more_body": head["more"]}
