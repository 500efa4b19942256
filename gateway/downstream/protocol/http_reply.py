"""The answer to one request over HTTP: plain JSON, or an event stream from the first thing said before the result."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.downstream.client_request import ClientRequest, MethodHandler, Result
from gateway.downstream.jsonrpc import failure, unavailable
from gateway.downstream.serialized import Serialized
from gateway.errors import DatabaseUnavailableError, ModelGateError
from gateway.json_codec import encode

logger = logging.getLogger(__name__)

# Most requests are answered before it would be worth looking whether their client has left.
_ATTENTIVE_AFTER_SECONDS = 0.05
_SIGN_OF_LIFE_SECONDS = 15.0
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]

Serialize: TypeAlias = Callable[[str, Result], bytes]
"""Writes the result of a method as it goes over the wire."""


def serialized(method: str, result: Result) -> bytes:
    """`result` as it is."""
    return result.text if isinstance(result, Serialized) else encode(result)


class HttpReply:
    """Answers one request; a client that leaves cancels what it asked for."""

    def __init__(
        self,
        request_id: str | int,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        serialize: Serialize = serialized,
        streams: bool = False,
    ) -> None:
        """`streams` says that the client takes an event stream, which then shows every 15 s that the call lives."""
        self._id = request_id
        self._scope = scope
        self._receive = receive
        self._send = send
        self._serialize = serialize
        self._streams = streams
        self._streaming = False
        self._ended = False
        self._client_left = False
        self._turn = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Say something before the result; afterwards nothing is heard any more."""
        await self._event(_event(encode({"jsonrpc": "2.0", "method": method, "params": params})))

    async def run(self, handler: MethodHandler, request: ClientRequest) -> None:
        """Answer with what `handler` makes of `request`."""
        working = asyncio.current_task()
        assert working is not None
        timer = asyncio.get_running_loop().call_later(_ATTENTIVE_AFTER_SECONDS, self._attend, working)
        try:
            answer = await self._answer(handler, request)
        except asyncio.CancelledError:
            if not self._client_left:
                raise
            return
        finally:
            timer.cancel()
            if self._watching is not None:
                self._watching.cancel()
        async with self._turn:
            self._ended = True
            if self._streaming:
                text = answer if isinstance(answer, bytes) else bytes(answer.body)
                await self._send({"type": "http.response.body", "body": _event(text), "more_body": False})
            elif isinstance(answer, Response):
                await answer(self._scope, self._receive, self._send)
            else:
                headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send({"type": "http.response.body", "body": answer})

    async def _answer(self, handler: MethodHandler, request: ClientRequest) -> bytes | Response:
        try:
            result = self._serialize(request.method, await handler(request))
            return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(self._id).encode(), result)
        except MCPError as error:
            return failure(self._id, error.code, error.message, error.data)
        except DatabaseUnavailableError as error:
            return unavailable(error, self._id)
        except ModelGateError as error:
            return failure(self._id, INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("A request for %s failed.", request.method)
            return failure(self._id, INTERNAL_ERROR, "Internal error; the gateway's log says more.")

    def _attend(self, working: asyncio.Task[Any]) -> None:
        self._watching = asyncio.create_task(self._watch(working))

    async def _watch(self, working: asyncio.Task[Any]) -> None:
        leaving = asyncio.ensure_future(_left(self._receive))
        patience = _SIGN_OF_LIFE_SECONDS if self._streams else None
        try:
            while not (await asyncio.wait((leaving,), timeout=patience))[0]:
                await self._event(b": ping\r\n\r\n")
            self._client_left = True
            working.cancel()
        finally:
            leaving.cancel()

    async def _event(self, event: bytes) -> None:
        async with self._turn:
            if self._ended:
                return
            if not self._streaming:
                await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
                self._streaming = True
            await self._send({"type": "http.response.body", "body": event, "more_body": True})


def _event(message: bytes) -> bytes:
    return b"event: message\r\ndata: %s\r\n\r\n" % message


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
