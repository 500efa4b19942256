"""A streamable HTTP server whose sessions end with `restart`, and which refuses those that it does not know as told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class Dress:
    """How an unknown session is refused: a status with a JSON-RPC error of `code`, or with `text` alone."""

    status: int
    code: int | None = None
    message: str = "Bad Request: No valid session ID provided"
    answers_pings: bool = False


class Forgetful:
    """The application. `executed` counts the calls of tools that were carried out."""

    def __init__(self, dress: Dress, *, refuses_pings: bool = False, forgets_at_once: bool = False) -> None:
        self.dress = dress
        self.refuses_pings = refuses_pings
        self.forgets_at_once = forgets_at_once
        self.opened = 0
        self.executed = 0
        self.pings = 0
        self.ill: Literal["", "refuses", "hangs"] = ""
        """What it does with every request, whatever it is: nothing out of the ordinary, 503, or nothing at all."""
        self.gets = 0
        self.notified: list[dict[str, Any]] = []
        self.notification_answers: list[Response] = []
        """What notifications are answered with in turn, and then with 202."""
        self.streams: list[Response] = [Response(status_code=405)]
        """What a GET is answered with in turn, the last one for good."""
        self.known: set[str] = set()
        self.app = Starlette(
            routes=[
                Route("/mcp", self.post, methods=["POST"]),
                Route("/mcp", self.get, methods=["GET"]),
                Route("/mcp", self.delete, methods=["DELETE"]),
            ]
        )

    def restart(self) -> None:
        """Forget every session."""
        self.known.clear()

    async def get(self, request: Request) -> Response:
        self.gets += 1
        if self.ill:
            return Response(status_code=503)
        if len(self.streams) > 1:
            return self.streams.pop(0)
        return self.streams[0]

    async def delete(self, request: Request) -> Response:
        return Response(status_code=405)

    async def post(self, request: Request) -> Response:
        message = await request.json()
        if self.ill == "refuses":
            return Response(status_code=503)
        if self.ill == "hangs":
            await anyio.sleep_forever()
        method, session = message.get("method"), request.headers.get("mcp-session-id")
        if method == "initialize":
            self.opened += 1
            session = f"session-{self.opened}"
            if not self.forgets_at_once:
                self.known.add(session)
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "forgetful", "version": "1"},
            }
            return JSONResponse(
                {"jsonrpc": "2.0", "id": message["id"], "result": result}, headers={"mcp-session-id": session}
            )
        if method == "server/discover":
            return error(message, 400, -32600, "Bad Request")
        if "id" not in message:
            self.notified.append(message)
            return self.notification_answers.pop(0) if self.notification_answers else Response(status_code=202)
        if session not in self.known and not (method == "ping" and self.dress.answers_pings):
            if self.dress.code is None:
                return PlainTextResponse(self.dress.message, self.dress.status)
            return error(message, self.dress.status, self.dress.code, self.dress.message)
        return self.answer(message)

    def answer(self, message: dict[str, Any]) -> Response:
        method, params = message["method"], message.get("params") or {}
        if method == "ping":
            self.pings += 1
            return error(message, 200, -32000, "no pings here") if self.refuses_pings else result(message, {})
        if method == "tools/list":
            return result(message, {"tools": [{"name": "count", "inputSchema": {"type": "object"}}]})
        if method != "tools/call":
            return error(message, 200, -32601, "Method not found")
        self.executed += 1
        asked = params.get("arguments") or {}
        if "status" in asked and "code" not in asked:
            return PlainTextResponse(asked["message"], asked["status"])
        if "code" in asked:
            return error(message, asked.get("status", 200), asked["code"], asked["message"])
        return result(message, {"content": [{"type": "text", "text": str(self.executed)}]})


def result(message: dict[str, Any], value: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": value})


def error(message: dict[str, Any], status: int, code: int, text: str) -> Response:
    body = {"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": code, "message": text}}
    return JSONResponse(body, status)
