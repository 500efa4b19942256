"""An HTTP API that shows what it was asked, and its OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

_OK = {"200": {"description": "What was asked for."}}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1.2", "description": "All about pets."},
    "servers": [{"url": "/api"}],
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "operationId": "getPet",
                "responses": _OK,
                "summary": "One pet",
                "description": "A pet by its id.",
                "parameters": [
                    {"name": "id", "in": "query", "schema": {"type": "integer"}, "description": "An old id."},
                    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {
                        "name": "near",
                        "in": "query",
                        "style": "deepObject",
                        "schema": {"type": "object", "properties": {"lat": {"type": "number"}}},
                    },
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "mood", "in": "cookie", "schema": {"type": "string"}},
                ],
            },
            "put": {
                "operationId": "put pet!",
                "requestBody": {"$ref": "#/components/requestBodies/Pet"},
                "responses": _OK,
            },
        },
        "/upload": {
            "post": {
                "responses": _OK,
                "requestBody": {
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "note": {"type": "string"},
                                    "file": {"type": "string", "format": "binary"},
                                },
                            }
                        }
                    }
                },
            }
        },
        "/text": {"get": {"operationId": "text", "responses": _OK}},
        "/image": {"get": {"operationId": "image", "responses": _OK}},
        "/broken": {"get": {"operationId": "broken", "responses": _OK}},
        "/huge": {"get": {"operationId": "huge", "responses": _OK}},
    },
    "components": {
        "requestBodies": {
            "Pet": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
            }
        },
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "id": {"type": "string", "readOnly": True},
                    "name": {"type": "string", "nullable": True},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                    "age": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                },
            }
        },
    },
}


class HttpApi:
    """The API, the requests that it echoed, and the document that it serves.

    A request to /api/wait sets `wait_started` and is answered once `wait_may_end` is set.
    """

    def __init__(self) -> None:
        self.document: Any = DOCUMENT
        self.requests: list[dict[str, Any]] = []
        self.charset = "utf-8"
        self.wait_started = anyio.Event()
        self.wait_may_end = anyio.Event()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/openapi.json", self.openapi_document),
                Route("/api/text", lambda _: Response("plain words", media_type="text/plain")),
                Route("/api/image", lambda _: Response(b"\x89PNG", media_type="image/png")),
                Route("/api/broken", lambda _: JSONResponse({"detail": "it broke"}, 503)),
                Route("/api/huge", lambda _: Response(b"x" * 2**20, media_type="text/plain")),
                Route("/api/zip", lambda _: Response(b"PK", media_type="application/zip")),
                Route("/api/wait", self.wait),
                Route("/api/charset", self.in_charset),
                Route("/api/repeated", self.escaped),
                Route("/api/utf16", self.in_utf16),
                Route("/api/away", lambda _: RedirectResponse("https://files.example/a?signature=s3cret")),
                Route("/{path:path}", self.echo, methods=["GET", "PUT", "POST"]),
            ]
        )

    async def openapi_document(self, request: Request) -> Response:
        return JSONResponse(self.document)

    async def wait(self, request: Request) -> Response:
        self.wait_started.set()
        await self.wait_may_end.wait()
        return Response("waited", media_type="text/plain")

    async def in_charset(self, request: Request) -> Response:
        return Response("grüße".encode(), headers={"content-type": f"text/plain; charset={self.charset}"})

    async def in_utf16(self, request: Request) -> Response:
        text = f"You are {request.headers['authorization']}."
        return Response(text.encode("utf-16"), headers={"content-type": "text/plain; charset=utf-16"})

    async def escaped(self, request: Request) -> Response:
        """What was asked, in JSON that says every character of a header by its number."""
        headers = {name: "".join(f"\\u{ord(each):04x}" for each in value) for name, value in request.headers.items()}
        body = json.dumps({"headers": headers}).replace("\\\\", "\\")
        return Response(body, media_type="application/json")

    async def echo(self, request: Request) -> Response:
        asked = {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": (await request.body()).decode("latin-1"),
        }
        self.requests.append(asked)
        return JSONResponse(asked)
