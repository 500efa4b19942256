"""The streamable HTTP transport, in both protocol eras: each message is a POST, each reply JSON or an event stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
from anyio.abc import TaskGroup
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import METHOD_NOT_FOUND
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from gateway.backoff import Backoff
from gateway.errors import SessionLostError, UpstreamError, UpstreamUnavailableError
from gateway.json_codec import Message, decode, encode
from gateway.upstream.http.server_client import EVENT_STREAM_TYPE, JSON_TYPE, ServerHttpClient
from gateway.upstream.message_decoder import decode_message
from gateway.upstream.oauth.token_auth import oauth_token_auth
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport, unreadable_answer_error

logger = logging.getLogger(__name__)

_SESSION_ID = "mcp-session-id"
_LAST_EVENT_ID = "last-event-id"
_RESUME_SECONDS = 1.0
_RECONNECT = Backoff(first_seconds=1.0, longest_seconds=30.0)
_EMPTY = Backoff(first_seconds=1.0, longest_seconds=300.0)
_STEADY_SECONDS = 10.0
_PASSING_STATUSES = (429, 502, 503, 504)
_MAX_RESUMPTIONS = 5
_GOODBYE_SECONDS = 2.0
_TAIL_SECONDS = 0.5


class StreamableHttpTransport:
    """A `Transport` to a streamable HTTP endpoint."""

    def __init__(self, spec: ServerSpec, http: ServerHttpClient, sink: MessageSink, tasks: TaskGroup) -> None:
        self._name = spec.name
        self._http = http
        self._sink = sink
        self._tasks = tasks
        self._version: str | None = None
        self._session_id: str | None = None
        self._requests: dict[int, anyio.CancelScope] = {}
        self._non_mcp_output: str | None = None

    async def wait_ready(self) -> None:
        """Each message makes its own connection."""

    @property
    def has_session(self) -> bool:
        return self._session_id is not None

    async def set_protocol_version(self, version: str) -> None:
        self._version = version
        if self._session_id is not None:
            self._tasks.start_soon(self._listen)

    def non_mcp_output(self) -> str | None:
        return self._non_mcp_output

    def stderr(self) -> str:
        return ""

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """Post `message`. A request is answered through the sink, as its stream may stay open for long."""
        body = encode(message)
        if "method" in message and "id" in message:
            scope = anyio.CancelScope()
            self._requests[message["id"]] = scope
            self._tasks.start_soon(self._request, message, body, headers, scope)
            return
        async with self._http.request("POST", self._headers(headers), body) as response:
            if response.status_code >= 400:
                raise self._http.status_error(response.status_code)

    async def cancel(self, request_id: int, reason: str) -> None:
        """Close the request's stream, which is the whole cancellation in the modern era."""
        scope = self._requests.get(request_id)
        try:
            if self._version not in MODERN_PROTOCOL_VERSIONS:
                params = {"requestId": request_id, "reason": reason}
                await self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, {})
        finally:
            # The stream goes too where the server will not hear of it.
            if scope is not None:
                scope.cancel()

    async def end_session(self) -> None:
        """End the session on the server's side."""
        if self._session_id is None:
            return
        with anyio.move_on_after(_GOODBYE_SECONDS):
            try:
                async with self._http.request("DELETE", self._headers({})):
                    pass
            except UpstreamError:
                # A server that is gone has no session to end.
                return

    def _headers(self, extra: Mapping[str, str]) -> dict[str, str]:
        headers = {"accept": f"{JSON_TYPE}, {EVENT_STREAM_TYPE}", "content-type": JSON_TYPE}
        if self._session_id is not None:
            headers[_SESSION_ID] = self._session_id
        if self._version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._version
        headers.update(extra)
        return headers

    async def _request(
        self, message: Message, body: bytes, headers: Mapping[str, str], scope: anyio.CancelScope
    ) -> None:
        request_id: int = message["id"]
        try:
            with scope:
                last_event = await self._post(request_id, message["method"], body, headers)
                if last_event is not None and self._session_id is not None:
                    await self._resume(request_id, last_event)
                self._sink.request_failed(
                    request_id,
                    UpstreamUnavailableError(
                        self._name, f"Server {self._name} ended its reply before it was complete; try again."
                    ),
                )
        except UpstreamError as error:
            self._sink.request_failed(request_id, error)
        except Exception:
            # It is the trouble of one call; raised here, it would end the session of all.
            logger.exception("%s of server %s broke down", message["method"], self._name)
            self._sink.request_failed(request_id, unreadable_answer_error(self._name, message["method"]))
        finally:
            self._requests.pop(request_id, None)

    async def _post(
        self, request_id: int, method: str, body: bytes, headers: Mapping[str, str]
    ) -> httpx2.ServerSentEvent | None:
        """Post a request and take its reply. Returns the last event of a stream that ended without the reply."""
        async with self._http.request("POST", self._headers(headers), body) as response:
            if response.status_code >= 300:
                await self._handle_error_status(request_id, response)
                return None
            if method == "initialize":
                self._session_id = response.headers.get(_SESSION_ID)
            kind = _content_type(response)
            if kind == EVENT_STREAM_TYPE:
                return await self._read_events(request_id, response)
            if kind != JSON_TYPE:
                said = await self._http.read_body(response)
                if not said:
                    raise self._http.not_mcp_error("took a request without answering it")
                self._non_mcp_output = said[:80].decode("utf-8", errors="replace")
                raise self._http.not_mcp_error(f"answered with {kind or 'no content type'}")
            self._hand_on(await self._http.read_body(response), request_id)
            self._sink.request_failed(request_id, self._http.not_mcp_error("answered another request than it was sent"))
            return None

    async def _handle_error_status(self, request_id: int, response: httpx2.Response) -> None:
        """An error status: with a JSON-RPC error in it, that error is the reply, except where it means the session."""
        message: object = None
        if _content_type(response) == JSON_TYPE:
            body = await self._http.read_body(response)
            with contextlib.suppress(ValueError):
                message = decode(body)
            failure = self._http.status_error(response.status_code, body)
        else:
            failure = await self._http.response_error(response)
        error = message.get("error") if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None
        unknown_method = isinstance(error, dict) and error.get("code") == METHOD_NOT_FOUND
        if response.status_code == 404 and self._session_id is not None and not unknown_method:
            raise SessionLostError(self._name, failure)
        if isinstance(message, dict) and isinstance(error, dict):
            self._sink.message_received({**message, "id": request_id}, request_id)
            return
        raise failure

    async def _read_events(self, request_id: int, response: httpx2.Response) -> httpx2.ServerSentEvent | None:
        last: httpx2.ServerSentEvent | None = None
        answered = False
        try:
            with anyio.CancelScope() as reading:
                async for event in self._http.read_events(response):
                    if event.id:
                        last = event
                    if event.event == "message" and event.data and self._hand_on(event.data, request_id):
                        answered = True
                        # Read to the end of the stream, if it comes soon: the connection can then be used again.
                        reading.deadline = asyncio.get_running_loop().time() + _TAIL_SECONDS
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            if last is None and not answered:
                raise
        return None if answered else last

    def _hand_on(self, data: bytes | str, request_id: int | None) -> bool:
        """Hand a message on. Returns whether it is the reply to `request_id`."""
        try:
            message = decode_message(data)
        except ValueError:
            message = None
        if not self._sink.message_received(message, request_id):
            self._non_mcp_output = str(data[:80])
            raise self._http.not_mcp_error("sent a message that cannot be read")
        return isinstance(message, dict) and "method" not in message and request_id is not None

    async def _resume(self, request_id: int, last: httpx2.ServerSentEvent) -> None:
        """Ask for the rest of a stream that broke off, as servers that close streams between events expect."""
        for _ in range(_MAX_RESUMPTIONS):
            await anyio.sleep(_RESUME_SECONDS if last.retry is None else last.retry / 1000)
            headers = self._headers({"accept": EVENT_STREAM_TYPE, _LAST_EVENT_ID: last.id})
            async with self._http.request("GET", headers) as response:
                if response.status_code != 200 or _content_type(response) != EVENT_STREAM_TYPE:
                    return
                further = await self._read_events(request_id, response)
                if further is None:
                    return
                last = further

    async def _listen(self) -> None:
        """Keep the stream open on which a handshake-era server speaks of its own accord, where it offers one.

        Whatever else it answers a GET with says only that it offers none, and nothing of the session.
        """
        failures = empty = 0
        last_id = ""
        opened = False
        while True:
            retry: int | None = None
            spoke = False
            begun = asyncio.get_running_loop().time()
            try:
                headers = self._headers({"accept": EVENT_STREAM_TYPE, **({_LAST_EVENT_ID: last_id} if last_id else {})})
                async with self._http.request("GET", headers) as response:
                    if response.status_code in _PASSING_STATUSES:
                        raise self._http.status_error(response.status_code)
                    if response.status_code == 200 and _content_type(response) == EVENT_STREAM_TYPE:
                        opened, failures = True, 0
                        async for event in self._http.read_events(response):
                            spoke = spoke or bool(event.data or event.id)
                            last_id = event.id or last_id
                            retry = event.retry if event.retry is not None else retry
                            if event.event == "message" and event.data:
                                self._hand_on(event.data, None)
                    elif not opened:
                        return
                    else:
                        # It offered one before: it may have forgotten the session.
                        self._sink.session_doubted()
            except UpstreamError:
                failures += 1
            except Exception:
                logger.exception("what server %s says of its own accord cannot be read", self._name)
                return
            # A stream that ends at once, with nothing in it, is as good as none.
            steady = spoke or asyncio.get_running_loop().time() - begun > _STEADY_SECONDS
            empty = 0 if steady else empty + 1
            if steady and retry is not None:
                await anyio.sleep(max(retry / 1000, 0.1))
            else:
                await anyio.sleep(_RECONNECT.delay(failures) if failures else _EMPTY.delay(max(1, empty)))


@asynccontextmanager
async def open_streamable_http(spec: ServerSpec, sink: MessageSink, max_message_bytes: int) -> AsyncIterator[Transport]:
    """A transport to the endpoint of `spec`; nothing is sent before the first message.

    Raises UpstreamUnavailableError where the address cannot be used.
    """
    http = ServerHttpClient(spec, max_message_bytes, oauth_token_auth(spec))
    try:
        async with anyio.create_task_group() as tasks:
            transport = StreamableHttpTransport(spec, http, sink, tasks)
            try:
                yield transport
            finally:
                with anyio.CancelScope(shield=True):
                    await transport.end_session()
                tasks.cancel_scope.cancel()
    finally:
        await http.close()


def _content_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
