"""What carries JSON-RPC messages to one upstream server and back, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.errors import (
    UpstreamError,
    UpstreamProtocolError,
)
from gateway.json_codec import Message


def message_too_large_error(server: str, limit: int) -> UpstreamProtocolError:
    """What to say of a message that is over `limit` bytes."""
    return UpstreamProtocolError(
        server, f"Server {server} sent a message of over {limit:,} bytes; ask it for less at once."
    )


def unreadable_answer_error(server: str, method: str) -> UpstreamProtocolError:
    """What to say of a request that failed as nobody foresaw."""
    return UpstreamProtocolError(
        server, f"The request {method} to server {server} broke down on an answer that cannot be read; see the log."
    )


class MessageSink(Protocol):
    """Who is told what a transport brings; each method returns at once."""

    def message_received(self, message: object, related_id: int | None = None) -> bool:
        """A message came in; `related_id` is the id of the request on whose own stream it came.

        Returns whether it is a JSON-RPC message at all.
        """
        ...

    def request_failed(self, request_id: int, error: UpstreamError) -> None:
        """The reply to `request_id` can no longer come; nothing happens where it has come already."""
        ...

    def session_doubted(self) -> None:
        """The server may have forgotten the session; a request would show it."""
        ...

    def connection_closed(self, error: UpstreamError) -> None:
        """Nothing more will come."""
        ...


class Transport(Protocol):
    """An open transport. Its methods may be called from any task."""

    async def wait_ready(self) -> None:
        """Wait until messages can be sent. Raises UpstreamError where they never can."""
        ...

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """Send `message`; `headers` go with it where the transport has headers.

        Raises RequestNotSentError where the connection has ended.
        """
        ...

    async def cancel(self, request_id: int, reason: str) -> None:
        """Tell the server that nobody waits for the reply to `request_id` any more."""
        ...

    @property
    def has_session(self) -> bool:
        """Whether the server keeps a session that it may forget while the connection lasts."""
        ...

    async def set_protocol_version(self, version: str) -> None:
        """The protocol `version` of all further messages is settled."""
        ...

    def non_mcp_output(self) -> str | None:
        """The beginning of what the server last sent that is not MCP."""
        ...

    def stderr(self) -> str:
        """The end of what the server wrote to its standard error output, where it has one."""
        ...
