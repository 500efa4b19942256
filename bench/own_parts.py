"""What the parts gain that ModelGate writes itself where a library has them: CPU time of this process, and wall time.

    python -m bench.own_parts

Each row does the same work twice, once by the project's own part and once by the library's. CPU time is the least of
several batches, so that what else the machine does shows in the wall time alone.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import anyio
import httpx2
import mcp_types as types
import uvloop
from mcp import StdioServerParameters
from mcp.client.session import ClientSession
from mcp.client.stdio import stdio_client
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher

from bench.peers.raw_http import raw_http_server
from bench.proxy import LEAN, ROOT
from gateway.access.caller import Caller
from gateway.downstream.client_request import ClientRequest, MethodHandler
from gateway.downstream.protocol.modern_requests import ModernRequests
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.upstream.http.plain_http import PlainHttpTransport
from gateway.upstream.policy import DEFAULT_POLICY
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.sessions.session import UpstreamSession
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transports.process_reaper import ProcessReaper

Act = Callable[[], Awaitable[object]]

BATCHES, CALLS = 20, 200
BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"text": "hello" * 40}}).encode()
ECHO = {"name": "echo", "arguments": {"text": "hello"}}
VERSION = "2026-07-28"
HEADERS = [
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
    (b"mcp-protocol-version", VERSION.encode()),
    (b"mcp-method", b"tools/call"),
    (b"mcp-name", b"echo"),
    (b"host", b"localhost"),
]
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}

# Answers with the same JSON, whatever it is asked.
ECHO_SERVER = raw_http_server("""
BODY = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}]}}'
def answer(body):
    return BODY
""")


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU and of the clock that one piece of work takes, each the least of the batches."""

    cpu: float
    wall: float


async def measure(act: Act) -> Cost:
    for _ in range(50):
        await act()
    cpu, wall = [], []
    for _ in range(BATCHES):
        cpu_began, wall_began = time.process_time(), time.perf_counter()
        for _ in range(CALLS):
            await act()
        cpu.append((time.process_time() - cpu_began) / CALLS * 1e6)
        wall.append((time.perf_counter() - wall_began) / CALLS * 1e6)
    return Cost(min(cpu), min(wall))


async def http_clients() -> list[tuple[str, Cost]]:
    """One POST with a small JSON body over a kept connection on loopback."""
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", ECHO_SERVER, stdout=subprocess.PIPE)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(await server.stdout.readline())}/mcp"
    headers = {"content-type": "application/json"}
    costs = []
    try:
        transport = PlainHttpTransport(5.0, 30.0, 32, DEFAULT_POLICY, "bench")

        async def post() -> bytes:
            request = httpx2.Request("POST", url, content=BODY, headers=headers)
            response = await transport.handle_async_request(request)
            return b"".join([piece async for piece in response.aiter_bytes()])

        costs.append(("plain_http", await measure(post)))
        await transport.aclose()
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def post_by_httpx2() -> bytes:
                content: bytes = (await client.post(url, content=BODY, headers=headers)).content
                return content

            costs.append(("httpx2", await measure(post_by_httpx2)))
        async with aiohttp.ClientSession() as session:

            async def post_by_aiohttp() -> bytes:
                # Callers hand over a request and are given a response of httpx2, whatever is between.
                asked = httpx2.Request("POST", url, content=BODY, headers=headers)
                async with session.post(str(asked.url), data=BODY, headers=asked.headers.multi_items()) as answer:
                    content = await answer.read()
                    response = httpx2.Response(answer.status, headers=answer.raw_headers, content=content)
                return response.content

            costs.append(("aiohttp", await measure(post_by_aiohttp)))
    finally:
        server.kill()
        await server.wait()
    return costs


class OneMethod:
    """A method table, and a relay, of a gateway with one tool that answers at once."""

    def get(self, method: str) -> MethodHandler | None:
        return self._answer if method == "tools/call" else None

    async def find(self, caller: Caller, name: str) -> None:
        return None

    async def _answer(self, request: ClientRequest) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": request.params["arguments"]["text"]}]}


async def modern_requests() -> list[tuple[str, Cost]]:
    """A tools/call of the modern era from the ASGI message to the answer, of a tool that answers at once."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**ECHO, "_meta": META}}
    body = json.dumps(message).encode()
    caller = Caller(1, 1, "bench", (1,))
    one = OneMethod()
    modern = ModernRequests(cast(Any, one), cast(Any, one), {"name": "bench", "version": "1"})

    accepted = AcceptedTypes(json=True, events=True)

    async def own(scope: Any, receive: Any, send: Any) -> None:
        await modern.serve(caller, accepted, body, scope, receive, send)

    async def call_tool(_: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        text = str((params.arguments or {})["text"])
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    server: Server[None] = Server("bench", on_call_tool=call_tool, get_tool_input_schema=lambda _: None)
    manager = StreamableHTTPSessionManager(server)
    costs = [("modern_requests and http_reply", await measure(lambda: asgi_call(own, body)))]
    async with manager.run():
        costs.append(("the SDK's server", await measure(lambda: asgi_call(manager.handle_request, body))))
    return costs


async def asgi_call(application: Any, body: bytes) -> None:
    """One POST to an ASGI application; raises RuntimeError where it is not answered with what was sent."""
    ended = asyncio.Event()
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if parts:
            return parts.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(part: Any) -> None:
        sent.append(part)

    scope = {
        "type": "http", "method": "POST", "path": "/mcp", "raw_path": b"/mcp", "query_string": b"", "headers": HEADERS,
        "http_version": "1.1", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await application(scope, receive, send)
    answer = b"".join(part.get("body", b"") for part in sent)
    if sent[0]["status"] != 200 or b"hello" not in answer:
        raise RuntimeError(f"{sent[0]} {answer[:300]!r}")


async def sessions() -> list[tuple[str, Cost]]:
    """A tools/call over stdio, from the session to a lean server and back."""
    costs = []
    spec = ServerSpec(1, 1, "Lean", "lean", "stdio", command=LEAN[0], args=tuple(LEAN[1:]))
    async with ProcessReaper() as reaper:
        session = UpstreamSession(spec, reaper)
        async with anyio.create_task_group() as tasks:
            await tasks.start(session.run)
            request = UpstreamRequest("tools/call", ECHO)
            costs.append(("UpstreamSession", await measure(lambda: session.request(request))))
            session.close()
    async with stdio_client(StdioServerParameters(command=LEAN[0], args=LEAN[1:])) as (read, write):
        dispatcher = JSONRPCDispatcher(read, write)
        async with ClientSession(dispatcher=dispatcher) as client:
            await client.initialize()
            costs.append(
                ("the SDK's dispatcher", await measure(lambda: dispatcher.send_raw_request("tools/call", ECHO)))
            )
    return costs


PARTS = {
    "HTTP to an upstream on loopback": http_clients,
    "a request of the modern era": modern_requests,
    "a JSON-RPC session over stdio": sessions,
}


async def main() -> None:
    print("| work | by | CPU µs | × own | µs |\n|---|---|---|---|---|")
    for work, costs_of in PARTS.items():
        costs = await costs_of()
        own = costs[0][1]
        for name, cost in costs:
            print(f"| {work} | {name} | {cost.cpu:.0f} | {cost.cpu / own.cpu:.2f} | {cost.wall:.0f} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    uvloop.run(main())
