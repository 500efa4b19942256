"""A collector of OpenTelemetry, and an MCP server over HTTP that says what it was told of the trace."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_TOOL = {"name": "echo", "description": "Say what was told", "inputSchema": {"type": "object"}}


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it was sent; ids in hex, `kind` as the protocol numbers it (2: server, 3: client)."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: dict[str, Any]
    is_error: bool
    linked: tuple[str, ...]


@dataclass(slots=True)
class TraceCollector:
    """Keeps the spans that are posted to it."""

    spans: list[CollectedSpan] = field(default_factory=list)

    def named(self, name: str) -> CollectedSpan:
        return next(span for span in self.spans if span.name == name)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        export = ExportTraceServiceRequest.FromString(body)
        for resource in export.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                    self.spans.append(
                        CollectedSpan(
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.kind,
                            values,
                            span.status.code == 2,
                            tuple(link.span_id.hex() for link in span.links),
                        )
                    )
        return Response(b"", media_type="application/x-protobuf")


def echo_server() -> Starlette:
    """A server of the handshake era with one tool, which answers with its `_meta` and the headers of its request."""

    async def answer(request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405)
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            },
            "tools/list": {"tools": [_TOOL]},
            "ping": {},
        }
        if message["method"] == "tools/call":
            told = {"meta": message["params"].get("_meta", {}), "headers": dict(request.headers)}
            result: Any = {"content": [{"type": "text", "text": json.dumps(told)}]}
        elif message["method"] in results:
            result = results[message["method"]]
        else:
            error = {"code": -32601, "message": "There is none."}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    return Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST", "DELETE"])])
