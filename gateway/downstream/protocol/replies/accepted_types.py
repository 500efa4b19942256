"""In which of the two media types a client takes an answer, and answers made over into the other one."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_types import INTERNAL_ERROR
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from gateway.json_codec import decode, encode

_JSON = "application/json"
_EVENTS = "text/event-stream"
_OF_JSON = (_JSON, "application/*", "*/*")
_OF_EVENTS = (_EVENTS, "text/*", "*/*")
EVENT_STREAM_HEADERS = [
    (b"content-type", _EVENTS.encode()),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_KEPT_HEADERS = (b"mcp-session-id", b"mcp-protocol-version")


@dataclass(frozen=True, slots=True)
class AcceptedTypes:
    """Which of the two the Accept header names; both where it names nothing: such clients take what comes."""

    json: bool
    events: bool

    @classmethod
    def of(cls, headers: Headers) -> AcceptedTypes:
        """What `headers` say."""
        accept = ",".join(headers.getlist("accept")) or "*/*"
        named = {_media_type(part) for part in accept.split(",")}
        return cls(any(kind in named for kind in _OF_JSON), any(kind in named for kind in _OF_EVENTS))

    def spell_out(self, scope: Scope) -> None:
        """Have the request of `scope` name both, as the SDK wants it of everybody; of a GET it wants events alone."""
        if not self.events and (not self.json or scope["method"] == "GET"):
            return
        value = f"{_JSON}, {_EVENTS}".encode()
        scope["headers"] = [(name, text) for name, text in scope["headers"] if name != b"accept"] + [(b"accept", value)]

    def adapt(self, send: Send) -> Send:
        """A `send` that makes an answer over into what the client takes."""
        if not self.events:
            return _JsonOfEvents(send)
        return send if self.json else _EventsOfJson(send)


def event(message: bytes) -> bytes:
    """A JSON-RPC message as an event."""
    return b"event: message\r\ndata: %s\r\n\r\n" % message


def json_answer_start(stream_start: Message, status: int, body: bytes) -> Message:
    """The beginning of an answer in JSON in place of an event stream."""
    headers = [(b"content-type", _JSON.encode()), (b"content-length", b"%d" % len(body)), *_kept(stream_start)]
    return {"type": "http.response.start", "status": status, "headers": headers}


def stream_answer(events: bytes) -> bytes | None:
    """The JSON-RPC answer in whole events; None where there is none among them."""
    for line in events.split(b"\n"):
        name, _, data = line.rstrip(b"\r").partition(b":")
        if name == b"data" and _is_answer(data):
            return data.strip()
    return None


def _media_type(part: str) -> str:
    kind, _, parameters = part.partition(";")
    quality = next((each.strip()[2:] for each in parameters.split(";") if each.strip().lower().startswith("q=")), "1")
    try:
        return kind.strip().lower() if float(quality) > 0 else ""
    except ValueError:
        return kind.strip().lower()


class _JsonOfEvents:
    """Of an event stream the one message that is the answer; what is said before it is for clients that take events."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started: Message | None = None
        self._is_answered = False
        self._rest = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _content_type(message) == _EVENTS:
            self._started = message
            return
        if self._started is None:
            await self._send(message)
            return
        if self._is_answered:
            return
        *lines, self._rest = (self._rest + message.get("body", b"")).split(b"\n")
        for line in lines:
            name, _, data = line.rstrip(b"\r").partition(b":")
            if name == b"data" and _is_answer(data):
                await self._answer(200, data.strip())
                return
        if not message.get("more_body", False):
            error = {"code": INTERNAL_ERROR, "message": "The stream ended before there was an answer."}
            await self._answer(500, encode({"jsonrpc": "2.0", "id": None, "error": error}))

    async def _answer(self, status: int, body: bytes) -> None:
        assert self._started is not None
        self._is_answered = True
        await self._send(json_answer_start(self._started, status, body))
        await self._send({"type": "http.response.body", "body": body})


class _EventsOfJson:
    """An answer in JSON as the one event of a stream; errors of HTTP stay what they are."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._started: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200 and _content_type(message) == _JSON:
            self._started = message
            return
        if self._started is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            headers = [*EVENT_STREAM_HEADERS, *_kept(self._started)]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": event(self._body)})


def _content_type(message: Message) -> str:
    headers = {name.lower(): value for name, value in message.get("headers", ())}
    return bytes(headers.get(b"content-type", b"")).decode("latin-1").partition(";")[0].strip().lower()


def _kept(message: Message) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in message.get("headers", ()) if name.lower() in _KEPT_HEADERS]


def _is_answer(data: bytes) -> bool:
    try:
        message = decode(data)
    except ValueError:
        return False
    return isinstance(message, dict) and "method" not in message and ("result" in message or "error" in message)
