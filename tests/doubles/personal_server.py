"""An MCP server that lets each person in by a token of theirs, and says of each request whose it was."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request that came in: its method, the token, and the session that it was made in, empty for none."""

    method: str
    token: str
    session: str


@dataclass
class PersonalServer:
    """`persons` by their tokens; a person may use the tools that `allowed` says, by default all.

    The token is looked for in `header`, after `scheme`, and in Authorization. `seen` are all requests that came in,
    refused ones too. `answers` are results of methods, in place of what the server would say itself.
    """

    era: Literal["modern", "handshake"] = "modern"
    header: str = "authorization"
    scheme: str = "Bearer "
    url: str = ""
    persons: dict[str, str] = field(default_factory=lambda: {"listing-token": "the gateway"})
    allowed: dict[str, set[str]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[SeenRequest] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[PersonalServer]:
        """Answer until the block ends."""
        app = Starlette(routes=[Route("/mcp", self._answer, methods=["GET", "POST", "DELETE"])])
        async with serving(app) as url:
            self.url = f"{url}/mcp"
            yield self

    @property
    def shared_sessions(self) -> list[str]:
        """Sessions in which tokens of several persons were seen."""
        persons: dict[str, set[str]] = {}
        for request in self.seen:
            if request.session:
                persons.setdefault(request.session, set()).add(self.persons.get(request.token, request.token))
        return [session for session, them in persons.items() if len(them) > 1]

    def calls_of(self, token: str) -> int:
        """How many calls came in with a token."""
        return sum(request.method == "tools/call" and request.token == token for request in self.seen)

    async def _answer(self, request: Request) -> Response:
        own = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get(self.header, "")
        token = given.removeprefix(self.scheme) if given.startswith(self.scheme) and given else own
        session = request.headers.get("mcp-session-id", "")
        message: dict[str, Any] = await request.json() if request.method == "POST" else {"method": request.method}
        method = str(message["method"])
        self.seen.append(SeenRequest(method, token, session))
        person = self.persons.get(token)
        if person is None:
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
        if request.method == "GET":
            return Response(status_code=405)
        if request.method == "DELETE":
            self.sessions.pop(session, None)
            return Response(status_code=204)
        if session and self.sessions.get(session) != person:
            return Response(status_code=404)
        if "id" not in message:
            return Response(status_code=202)
        return self._reply(method, message, person)

    def _reply(self, method: str, message: dict[str, Any], person: str) -> Response:
        headers: dict[str, str] = {}
        result: dict[str, Any]
        if method in self.answers:
            result = self.answers[method]
        elif method == "initialize" and self.era == "handshake":
            session = secrets.token_hex(8)
            self.sessions[session] = person
            headers["mcp-session-id"] = session
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "personal", "version": "1"},
            }
        elif method == "server/discover" and self.era == "modern":
            result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        elif method == "ping":
            result = {}
        elif method == "tools/list":
            result = {"tools": [_tool("whoami", "Say who I am."), _tool("delete_all", "Delete everything I have.")]}
        elif method == "tools/call":
            name = message["params"]["name"]
            if name not in self.allowed.get(person, {name}):
                text, is_error = f"{person} may not use {name}", True
            else:
                text, is_error = f"{name} as {person}", False
            result = {"content": [{"type": "text", "text": text}], "isError": is_error}
        else:
            error = {"code": -32601, "message": f"There is no method {method}."}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if self.era == "modern":
            result = {"resultType": "complete", **result}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)


def _tool(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}
