"""A handshake-era MCP endpoint in bare Starlette that forgets sessions and withholds answers when it is told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class SessionServer:
    """`said` holds each message with the number of the session that it came in, None outside of any.

    A call of `wait` is answered once `released` is set; while `hangs` is set, no request is answered.
    """

    def __init__(self) -> None:
        self.said: list[tuple[str | None, dict[str, Any]]] = []
        self.waiting = anyio.Event()
        self.released = anyio.Event()
        self.hangs = False
        self._made = 0
        self._ends: dict[str, anyio.Event] = {}

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/mcp", self._post, methods=["POST"]), Route("/mcp", self._get)])

    def forget(self) -> None:
        """Know none of the sessions any more."""
        for ended in self._ends.values():
            ended.set()
        self._ends.clear()

    def heard(self, method: str) -> list[tuple[str | None, dict[str, Any]]]:
        """What came of `method`."""
        return [(session, message) for session, message in self.said if message.get("method") == method]

    async def _post(self, request: Request) -> Response:
        message = await request.json()
        session = request.headers.get("mcp-session-id")
        if session is not None and session not in self._ends:
            return Response(status_code=404)
        self.said.append((session, message))
        if self.hangs:
            await anyio.sleep_forever()
        if "id" not in message or "method" not in message:
            return Response(status_code=202)
        headers = {}
        result: dict[str, Any] = {"session": session}
        if message["method"] == "initialize":
            self._made += 1
            headers["mcp-session-id"] = str(self._made)
            self._ends[str(self._made)] = anyio.Event()
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
        elif message["method"] == "tools/call" and message["params"]["name"] == "wait":
            self.waiting.set()
            await self.released.wait()
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)

    async def _get(self, request: Request) -> Response:
        ended = self._ends.get(request.headers.get("mcp-session-id", ""))
        if ended is None:
            return Response(status_code=404)

        async def events() -> AsyncIterator[str]:
            yield "retry: 100\n\n"
            params = {"level": "info", "data": "hello"}
            greeting = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
            yield f"data: {json.dumps(greeting)}\n\n"
            await ended.wait()

        return StreamingResponse(events(), media_type="text/event-stream")
