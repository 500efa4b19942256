"""HTTP endpoints that are almost, or not at all, MCP servers: an ASGI application whose paths name what they do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route


class Odd:
    """The application, and what it has seen."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.sessions = 0
        self.forgetful = False
        self.closed_streams = anyio.Event()
        self.waited_for = anyio.Event()
        self.may_answer = anyio.Event()
        self.app = Starlette(
            routes=[
                Route("/{behaviour}", self.post, methods=["POST"]),
                Route("/{behaviour}", self.get, methods=["GET"]),
                Route("/{behaviour}", self.delete, methods=["DELETE"]),
            ]
        )

    async def post(self, request: Request) -> Response:
        behaviour = request.path_params["behaviour"]
        message = await request.json()
        self.seen.append(("POST", dict(request.headers), message))
        if behaviour == "page":
            return HTMLResponse("<h1>It works!</h1>")
        if behaviour.isdecimal():
            return Response(status_code=int(behaviour))
        if behaviour == "moved":
            return RedirectResponse("/handshake", status_code=307)
        if behaviour == "away":
            return RedirectResponse("http://example.invalid/mcp?token=secret", status_code=307)
        method = message.get("method")
        if "id" not in message or method is None:
            return Response(status_code=202)
        if method == "server/discover" and behaviour == "mirror":
            return self.reply(message, discovered())
        if method == "server/discover":
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "?"}}, 400)
        if method == "initialize":
            self.sessions += 1
            headers = {"mcp-session-id": f"session-{self.sessions}"}
            return self.reply(message, initialized(), headers)
        if self.forgetful and request.headers.get("mcp-session-id") == "session-1":
            return Response(status_code=404)
        return await self.call(behaviour, message, request)

    async def call(self, behaviour: str, message: dict[str, Any], request: Request) -> Response:
        if behaviour == "cut":
            return events([])
        if behaviour == "resume":
            return events([{"id": "e1", "retry": 10, "data": ""}])
        if behaviour == "stuck":
            return StreamingResponse(self.never(), media_type="text/event-stream")
        if behaviour == "other":
            return self.reply({"id": 4711}, {})
        if behaviour == "marked":
            answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"marked": True}})
            return Response(f"\ufeffdata: {answer}\r\r", media_type="text/event-stream")
        if behaviour == "returns":
            answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"returns": True}})
            pieces = ("event: message\r", f"\ndata: {answer}\r", "\r")
            return StreamingResponse(self.never(*pieces), media_type="text/event-stream")
        if behaviour in ("says", "says_more") and message["method"] == "tools/call":
            error: Any = "the disk is full" if behaviour == "says" else {"message": "the disk is full", "code": "E5"}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if behaviour == "garbage":
            return Response(b"{not json", media_type="application/json")
        if behaviour == "big":
            return self.reply(message, {"content": [{"type": "text", "text": "b" * message["params"]["size"]}]})
        if behaviour == "big_events":
            result = {"content": [{"type": "text", "text": "b" * message["params"]["size"]}]}
            return events([{"data": json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})}])
        if behaviour == "charset" and message["params"].get("name") == "odd":
            return Response(b"data: {}\n\n", headers={"content-type": "text/event-stream; charset=base64"})
        if behaviour == "charset" and message["params"].get("name") == "wait":
            self.waited_for.set()
            await self.may_answer.wait()
        if behaviour == "mirror":
            if message["method"] == "tools/list":
                schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
                return self.reply(message, {"tools": [{"name": "deploy", "inputSchema": schema}]})
            if message["method"] == "tools/call" and "mcp-param-region" not in request.headers:
                error = {"code": -32020, "message": "header mismatch"}
                return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error}, 400)
        return self.reply(message, {"content": [], "headers": dict(request.headers)})

    async def get(self, request: Request) -> Response:
        self.seen.append(("GET", dict(request.headers), {}))
        if request.path_params["behaviour"] == "resume" and "last-event-id" in request.headers:
            number = next(seen["id"] for _, _, seen in reversed(self.seen) if seen.get("method") == "tools/call")
            return events([{"data": json.dumps({"jsonrpc": "2.0", "id": number, "result": {"resumed": True}})}])
        if request.path_params["behaviour"] == "charset":
            return Response(b"data: {}\n\n", headers={"content-type": "text/event-stream; charset=base64"})
        return Response(status_code=405)

    async def delete(self, request: Request) -> Response:
        self.seen.append(("DELETE", dict(request.headers), {}))
        return Response(status_code=200)

    async def never(self, *pieces: str) -> AsyncIterator[bytes]:
        """A stream that does not end, of `pieces` one by one."""
        try:
            for piece in pieces or (": nothing yet\n\n",):
                yield piece.encode()
            await anyio.sleep_forever()
        finally:
            self.closed_streams.set()

    def reply(self, message: dict[str, Any], result: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)


def initialized() -> dict[str, Any]:
    return {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "odd", "version": "1"}}


def discovered() -> dict[str, Any]:
    return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}


def events(parts: list[dict[str, Any]]) -> Response:
    lines = "".join("".join(f"{key}: {value}\n" for key, value in part.items()) + "\n" for part in parts)
    return Response(lines, media_type="text/event-stream")
