"""Times what the MCP endpoint answers."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.telemetry.metrics import Metrics


class RequestMetrics:
    """The endpoint, with each request timed until its answer begins: a stream may stay open for hours."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self.open = 0
        """How many requests are under way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.observe_request(message["status"], time.perf_counter() - started)
            await send(message)

        self.open += 1
        try:
            await self._app(scope, receive, send_timed)
        finally:
            self.open -= 1
