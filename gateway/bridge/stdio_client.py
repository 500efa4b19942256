"""The client on standard input and output: its lines in, messages out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
from mcp_types import INVALID_REQUEST, PARSE_ERROR

from gateway.json_codec import Message, decode, encode

_MAX_WAITING_NOTIFICATIONS = 1_000

ReadLine = Callable[[], Awaitable[bytes]]
"""Returns the next line of the client; empty when the client has gone."""

WriteLine = Callable[[bytes], Awaitable[None]]
"""Gives the client a line."""


class StdioClient:
    """Whoever started the command."""

    def __init__(self, read: ReadLine, write: WriteLine) -> None:
        self._read = read
        self._write = write
        self._out: deque[bytes] = deque()
        self._has_output = anyio.Event()
        self._written = anyio.Event()

    async def messages(self) -> AsyncIterator[Message]:
        """The JSON-RPC messages of the client until it has gone; what is none is refused here."""
        while line := await self._read():
            if not line.strip():
                continue
            try:
                said = decode(line)
            except ValueError:
                self.send_error(None, PARSE_ERROR, "A line of the client is not JSON.")
                continue
            # Batches are of revisions before 2025-06-18; one without messages is wrong in all.
            for part in said if isinstance(said, list) and said else [said]:
                fault = _fault(part)
                if fault is None:
                    yield part
                else:
                    self.send_error(_id_of(part), INVALID_REQUEST, f"A message of the client {fault}.")

    def send(self, message: Message) -> None:
        """Give the client a message, later. One that reads slower than the gateway speaks misses notifications."""
        if "id" in message or len(self._out) < _MAX_WAITING_NOTIFICATIONS:
            self._out.append(encode(message) + b"\n")
            self._has_output.set()

    def send_error(self, request_id: object, code: int, text: str) -> None:
        """Answer a request with a JSON-RPC error."""
        self.send({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}})

    async def run_writer(self) -> None:
        """Write what the client is told, for ever."""
        while True:
            while self._out:
                await self._write(self._out[0])
                self._out.popleft()
            self._written.set()
            self._has_output = anyio.Event()
            await self._has_output.wait()

    async def flush(self) -> None:
        """Wait until the client has been given all that it was told."""
        while self._out:
            self._written = anyio.Event()
            await self._written.wait()


def is_request_id(value: object) -> bool:
    """Whether a request may go by this id."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _fault(message: Any) -> str | None:
    """What keeps a value from being a JSON-RPC message."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return "is not a JSON-RPC 2.0 message"
    if "id" in message and not is_request_id(message["id"]) and not _is_whole(message["id"]):
        return "has an id that is neither a string nor a whole number"
    if "method" in message:
        return None if isinstance(message["method"], str) else "has a method that is not a string"
    if "id" not in message or ("result" not in message and "error" not in message):
        return "has neither a method nor a result"
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value.is_integer()


def _id_of(message: Any) -> object:
    request_id = message.get("id") if isinstance(message, dict) else None
    return request_id if is_request_id(request_id) else None
