"""The HTTP protocol of uvicorn with bounds on what a client may leave unfinished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.edge.address_counts import AddressCounts
from gateway.edge.refusals import Refusals
from gateway.edge.trusted_proxies import TrustedProxies

HEAD_BYTES = 64 * 1024
"""What the head of a request may take, and so what is sent of chunks beside their bytes."""

# A chunk of one byte takes five more.
_FRAMING_PER_BYTE = 8


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long the head and the body of a request may take, in seconds."""

    head_seconds: float
    body_seconds: float


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends connections whose head or body does not come in time or takes too much, and those of an address that has
    too many. A trusted proxy is no one client: what stands behind it is counted by request.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        counts: AddressCounts,
        proxies: TrustedProxies,
        refusals: Refusals,
        **options: Any,
    ) -> None:
        """`options` are what uvicorn makes a protocol with."""
        super().__init__(**options)
        self._limits = limits
        self._counts = counts
        self._proxies = proxies
        self._refusals = refusals
        self._counted: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._in_body = False
        # Of the head, or of the body beside what it holds, since either began.
        self._surplus_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(cast(asyncio.Transport, transport))
        address = self.client[0] if self.client else ""
        if address and not self._proxies.trusts(address):
            if not self._counts.open(address):
                self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
                return
            self._counted = address
        self._start_timer(self._limits.head_seconds, self._on_head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._stop_timer()
        if self._counted is not None:
            self._counts.close(self._counted)
            self._counted = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._surplus_bytes += len(data)
        super().data_received(data)
        self._surplus_bytes = max(self._surplus_bytes, 0)
        if (self._in_head or self._in_body) and self._surplus_bytes > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._timer is None and not self._in_body and self._is_idle and not self.transport.is_closing():
            # Line ends between two requests begin none, and keep a connection open no longer than a head.
            self._start_timer(self._limits.head_seconds, self._on_head_timeout)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._surplus_bytes = 0
        if self._timer is None:
            self._start_timer(self._limits.head_seconds, self._on_head_timeout)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._in_body = True
        self._surplus_bytes = 0
        self._start_timer(self._limits.body_seconds, self._on_body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        self._surplus_bytes -= _FRAMING_PER_BYTE * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        self._in_body = False
        self._stop_timer()
        super().on_message_complete()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _on_head_timeout(self) -> None:
        self._timer = None
        self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _on_body_timeout(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            # It is the gateway that does not read.
            self._start_timer(self._limits.body_seconds, self._on_body_timeout)
            return
        self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """End the connection; with this status where nothing of an answer was sent yet."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        self._refusals.count(status)
        cycle = self.cycle
        if cycle is None or (not cycle.response_started if self._in_body else cycle.response_complete):
            retry = "retry-after: 1\r\n" if status is HTTPStatus.TOO_MANY_REQUESTS else ""
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{retry}content-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode("ascii"))
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _start_timer(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
