"""The HTTP+SSE transport of 2024-11-05: one event stream from the server, POSTs to an address that it names."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
from anyio.abc import TaskGroup

from gateway.errors import RequestNotSentError, UpstreamError, UpstreamUnavailableError
from gateway.json_codec import Message, encode
from gateway.upstream.http.server_client import EVENT_STREAM_TYPE, JSON_TYPE, ServerHttpClient
from gateway.upstream.message_decoder import decode_message
from gateway.upstream.oauth.token_auth import oauth_token_auth
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport, unreadable_answer_error

logger = logging.getLogger(__name__)


class HttpSseTransport:
    """A `Transport` to an HTTP+SSE endpoint."""

    def __init__(self, spec: ServerSpec, http: ServerHttpClient, sink: MessageSink, tasks: TaskGroup) -> None:
        self._name = spec.name
        self._http = http
        self._sink = sink
        self._tasks = tasks
        self._settled = anyio.Event()
        self._messages: httpx2.URL | None = None
        self._error: UpstreamError | None = None
        self._non_mcp_output: str | None = None

    async def wait_ready(self) -> None:
        """Wait for the server to name the address for messages."""
        await self._settled.wait()
        if self._error is not None:
            raise self._error

    @property
    def has_session(self) -> bool:
        return True

    async def set_protocol_version(self, version: str) -> None:
        """The transport belongs to one version."""

    def non_mcp_output(self) -> str | None:
        return self._non_mcp_output

    def stderr(self) -> str:
        return ""

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """Post `message`. A request is posted in a task of its own: some servers answer the POST last of all."""
        if self._messages is None or self._error is not None:
            raise RequestNotSentError(self._name, f"The connection to server {self._name} has ended; try again.")
        if "method" in message and "id" in message:
            self._tasks.start_soon(self._post_request, message, encode(message), headers)
        else:
            await self._post(encode(message), headers)

    async def cancel(self, request_id: int, reason: str) -> None:
        params = {"requestId": request_id, "reason": reason}
        await self._post(encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}), {})

    async def read(self) -> None:
        """Hand the server's messages to the sink until the stream ends."""
        error: UpstreamError = UpstreamUnavailableError(
            self._name, f"Server {self._name} closed its event stream; try again."
        )
        try:
            async with self._http.request("GET", {"accept": EVENT_STREAM_TYPE}) as response:
                if response.status_code != 200:
                    raise self._http.status_error(response.status_code)
                async for event in self._http.read_events(response):
                    if event.event == "endpoint":
                        self._messages = self._http.resolve_url(event.data)
                        if self._messages is None:
                            raise self._http.not_mcp_error("wants messages sent to another host")
                        self._settled.set()
                    elif event.event == "message" and event.data:
                        self._hand_on(event.data)
        except UpstreamError as failure:
            error = failure
        except Exception:
            logger.exception("the event stream of server %s cannot be read", self._name)
            error = self._http.not_mcp_error("sent an event stream that cannot be read")
        self._error = error
        self._settled.set()
        self._sink.connection_closed(error)

    def _hand_on(self, data: str) -> None:
        try:
            message = decode_message(data)
        except ValueError:
            message = None
        if not self._sink.message_received(message):
            self._non_mcp_output = data[:80]

    def _hand_on_reply(self, body: bytes, request_id: int) -> None:
        """What is neither a reply to the request with this id nor an error without one says only that it has come."""
        try:
            message = decode_message(body)
        except ValueError:
            return
        if not isinstance(message, dict) or not ("result" in message or "error" in message):
            return
        named = message.get("id")
        if named in (request_id, str(request_id)) or (named is None and "error" in message):
            self._sink.message_received(message, request_id)

    async def _post_request(self, message: Message, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            await self._post(body, headers, message["id"])
        except UpstreamError as error:
            self._sink.request_failed(message["id"], error)
        except Exception:
            # It is the trouble of one call; raised here, it would end the session of all.
            logger.exception("%s of server %s broke down", message["method"], self._name)
            self._sink.request_failed(message["id"], unreadable_answer_error(self._name, message["method"]))

    async def _post(self, body: bytes, headers: Mapping[str, str], request_id: int | None = None) -> None:
        async with self._http.request("POST", {"content-type": JSON_TYPE, **headers}, body, self._messages) as response:
            if response.status_code >= 300:
                raise await self._http.response_error(response)
            if request_id is not None and response.headers.get("content-type", "").startswith(JSON_TYPE):
                # Some servers answer here, and not in the stream.
                self._hand_on_reply(await self._http.read_body(response), request_id)


@asynccontextmanager
async def open_http_sse(spec: ServerSpec, sink: MessageSink, max_message_bytes: int) -> AsyncIterator[Transport]:
    """A transport to the endpoint of `spec`. Raises UpstreamUnavailableError where the address cannot be used."""
    http = ServerHttpClient(spec, max_message_bytes, oauth_token_auth(spec))
    try:
        async with anyio.create_task_group() as tasks:
            transport = HttpSseTransport(spec, http, sink, tasks)
            tasks.start_soon(transport.read)
            try:
                yield transport
            finally:
                tasks.cancel_scope.cancel()
    finally:
        await http.close()
