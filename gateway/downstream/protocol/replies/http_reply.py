"""The answer to one request over HTTP: plain JSON, or an event stream from the first thing said before the result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.downstream.client_request import ClientRequest, MethodHandler, Result
from gateway.downstream.jsonrpc import error_response, unavailable_response
from gateway.downstream.protocol.replies.accepted_types import EVENT_STREAM_HEADERS, event
from gateway.downstream.serialized_result import SerializedResult
from gateway.errors import DatabaseUnavailableError, ModelGateError
from gateway.json_codec import assemble, encode

logger = logging.getLogger(__name__)

# Most requests are answered before it would be worth looking whether their client has left.
_WATCH_AFTER_SECONDS = 0.05
_PING_SECONDS = 15.0

SerializeResult: TypeAlias = Callable[[str, Result], "bytes | Mapping[str, bytes]"]
"""Takes a method and its result, and gives this in JSON, or the members of it, each in JSON."""


def serialize_result(method: str, result: Result) -> bytes | Mapping[str, bytes]:
    """`result` as it is."""
    return result.members if isinstance(result, SerializedResult) else encode(result)


class HttpReply:
    """Answers one request; a client that leaves cancels what it asked for."""

    def __init__(
        self,
        request_id: str | int,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        serialize: SerializeResult = serialize_result,
        may_stream: bool = False,
    ) -> None:
        """`may_stream` says that the client takes an event stream, which then shows every 15 s that the call lives.

        What is said before the result is heard by nobody else.
        """
        self._request_id = request_id
        self._scope = scope
        self._receive = receive
        self._send = send
        self._serialize = serialize
        self._may_stream = may_stream
        self._is_streaming = False
        self._is_complete = False
        self._client_left = False
        self._send_lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Say something before the result; afterwards nothing is heard any more."""
        await self._send_event(event(encode({"jsonrpc": "2.0", "method": method, "params": params})))

    async def run(self, handler: MethodHandler, request: ClientRequest) -> None:
        """Answer with what `handler` makes of `request`."""
        work = asyncio.current_task()
        assert work is not None
        timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_SECONDS, self._start_watching, work)
        try:
            answer = await self._answer(handler, request)
        except asyncio.CancelledError:
            if not self._client_left:
                raise
            return
        finally:
            timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
        async with self._send_lock:
            self._is_complete = True
            if self._is_streaming:
                text = answer if isinstance(answer, bytes) else bytes(answer.body)
                await self._send({"type": "http.response.body", "body": event(text), "more_body": False})
            elif isinstance(answer, Response):
                await answer(self._scope, self._receive, self._send)
            else:
                headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send({"type": "http.response.body", "body": answer})

    async def _answer(self, handler: MethodHandler, request: ClientRequest) -> bytes | Response:
        try:
            result = self._serialize(request.method, await handler(request))
            return assemble({"jsonrpc": "2.0", "id": self._request_id, "result": result})
        except MCPError as error:
            return error_response(self._request_id, error.code, error.message, error.data)
        except DatabaseUnavailableError as error:
            return unavailable_response(error, self._request_id)
        except ModelGateError as error:
            return error_response(self._request_id, INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("A request for %s failed.", request.method)
            return error_response(self._request_id, INTERNAL_ERROR, "Internal error; the gateway's log says more.")

    def _start_watching(self, work: asyncio.Task[Any]) -> None:
        self._watcher = asyncio.create_task(self._watch_client(work))

    async def _watch_client(self, work: asyncio.Task[Any]) -> None:
        """Cancel `work` when the client leaves; until then show it on a stream that the call lives."""
        leaving = asyncio.ensure_future(_wait_for_disconnect(self._receive))
        timeout = _PING_SECONDS if self._may_stream else None
        try:
            while not (await asyncio.wait((leaving,), timeout=timeout))[0]:
                await self._send_event(b": ping\r\n\r\n")
            self._client_left = True
            work.cancel()
        finally:
            leaving.cancel()

    async def _send_event(self, text: bytes) -> None:
        async with self._send_lock:
            if self._is_complete or not self._may_stream:
                return
            if not self._is_streaming:
                await self._send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM_HEADERS})
                self._is_streaming = True
            await self._send({"type": "http.response.body", "body": text, "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
