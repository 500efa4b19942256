"""The stdio transport: one JSON-RPC message a line, to and from a child process."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio

from gateway.errors import RequestNotSentError, UpstreamError, UpstreamProtocolError, UpstreamUnavailableError
from gateway.json_codec import Message, decode, encode
from gateway.upstream.failure_line import failure_line
from gateway.upstream.message_decoder import decode_message
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport, message_too_large_error
from gateway.upstream.transports.child_process import ChildProcess
from gateway.upstream.transports.process_reaper import ProcessReaper

_MAX_NOISE_LINES = 1000
_SHOWN_CHARACTERS = 80
_KEPT_BYTES = 4096
_EXIT_WATCH_SECONDS = 0.5

# Where a reply says which request it is for, in the two orders in which libraries write its members.
_REPLY_BEGINNING = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,\s*"(?:result|error)"'
)
_REPLY_END = re.compile(rb',\s*"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')


class _LineTooLongError(Exception):
    """A line is longer than a message may be."""


class LineBuffer:
    """Bytes in pieces as they come, out as whole lines; holds at most `limit` bytes of an unfinished line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes. Raises _LineTooLongError."""
        lines = piece.split(b"\n")
        if len(lines) > 1:
            lines[0] = b"".join([*self._pieces, lines[0]])
            self._pieces.clear()
            self._size = 0
        rest = lines.pop()
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
        if self._size > self._limit or (lines and len(lines[0]) > self._limit):
            raise _LineTooLongError
        return lines


class StdioTransport:
    """A `Transport` to a child process."""

    def __init__(self, spec: ServerSpec, child: ChildProcess, sink: MessageSink, max_message_bytes: int) -> None:
        self._name = spec.name
        self._child = child
        self._sink = sink
        self._limit = max_message_bytes
        self._lines = LineBuffer(max_message_bytes)
        # One message at a time: a child that does not read then holds back writers instead of filling memory.
        self._writing = anyio.Lock(fast_acquire=True)
        self._closed = False
        self._noise = b""
        self._noise_lines = 0

    async def wait_ready(self) -> None:
        """A child process takes messages as soon as it runs."""

    @property
    def has_session(self) -> bool:
        return False

    async def set_protocol_version(self, version: str) -> None:
        """LineBuffer carry no version."""

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        line = encode(message) + b"\n"
        async with self._writing:
            if self._closed:
                raise RequestNotSentError(self._name, f"Server {self._name} has ended; try again.")
            try:
                await self._child.stdin.send(line)
                return
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                self._closed = True
        # The server may have read the message before it ended, so this is not an RequestNotSentError.
        await self._end()

    async def cancel(self, request_id: int, reason: str) -> None:
        params = {"requestId": request_id, "reason": reason}
        await self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, {})

    def non_mcp_output(self) -> str | None:
        return self._child.masked_text(self._noise)[:_SHOWN_CHARACTERS] if self._noise else None

    def stderr(self) -> str:
        return self._child.stderr()

    async def read(self) -> None:
        """Hand the child's lines to the sink until they end."""
        try:
            while True:
                for line in self._lines.feed(await self._child.stdout.receive()):
                    self._hand_on(line)
                if self._noise_lines > _MAX_NOISE_LINES:
                    self._sink.connection_closed(self._noise_error())
                    return
        except _LineTooLongError:
            self._sink.connection_closed(message_too_large_error(self._name, self._limit))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._end()

    async def watch_exit(self) -> None:
        """Notice a child that has exited while its own children still hold its output open."""
        await self._child.wait_exit(math.inf, poll=_EXIT_WATCH_SECONDS)
        await anyio.sleep(_EXIT_WATCH_SECONDS)
        await self._end()

    def _noise_error(self) -> UpstreamProtocolError:
        return UpstreamProtocolError(
            self._name,
            f"Server {self._name} writes text that is not MCP to its standard output, beginning with "
            f"{self.non_mcp_output()!r}; correct its command.",
        )

    async def _end(self) -> None:
        self._closed = True
        if await self._child.wait_exit(_EXIT_WATCH_SECONDS):
            await self._child.wait_stderr()
        self._sink.connection_closed(self._end_error())

    def _end_error(self) -> UpstreamError:
        if self._noise:
            return self._noise_error()
        code = self._child.returncode
        how = "closed its output" if code is None else f"exited with code {code}"
        reason = failure_line(self._child.stderr())
        why = f": {reason}" if reason else ", and did not say why; check its command and arguments."
        if code is not None and code < 0:
            how = f"was ended by signal {-code}"
            why = f"; the last that it said was: {reason}" if reason else "; try again."
        return UpstreamUnavailableError(self._name, f"Server {self._name} {how}{why}")

    def _hand_on(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = decode_message(line)
        except ValueError:
            message = self._salvage_reply(line)
        if self._sink.message_received(message):
            self._child.mark_installed()
            self._noise_lines = 0
            self._noise = b""
            return
        self._noise = self._noise or line[:_KEPT_BYTES]
        self._noise_lines += 1

    def _salvage_reply(self, line: bytes) -> object:
        """The id of a reply that cannot be read, as a reply that says so: its caller need not wait for the timeout."""
        try:
            message = decode(line.decode("utf-8", errors="replace"))
        except ValueError:
            found = _REPLY_BEGINNING.match(line) or _REPLY_END.search(line)
            message = {"id": int(found[1])} if found is not None else None
        if isinstance(message, dict) and "method" not in message:
            return {"jsonrpc": "2.0", "id": message.get("id"), "result": None}
        return None


@asynccontextmanager
async def open_stdio(
    spec: ServerSpec, sink: MessageSink, reaper: ProcessReaper, max_message_bytes: int
) -> AsyncIterator[Transport]:
    """Start the server of `spec`; leaving ends it with its whole process group.

    Raises UpstreamUnavailableError where it cannot be started.
    """
    child = await ChildProcess.start(spec, reaper)
    transport = StdioTransport(spec, child, sink, max_message_bytes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.read)
        tasks.start_soon(transport.watch_exit)
        tasks.start_soon(child.collect_stderr)
        try:
            yield transport
        finally:
            with anyio.CancelScope(shield=True):
                await child.stop()
            tasks.cancel_scope.cancel()
