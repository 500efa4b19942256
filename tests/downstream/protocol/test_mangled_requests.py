"""Whatever is sent: never a 500, always an answer that is JSON-RPC, and no session dies of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from gateway.access.tenants import tenant_by_slug
from gateway.app import Gateway
from gateway.components import Components
from tests.downstream.protocol.mangling import mangled
from tests.support.thoroughness import cases

BATCH = 20
# Of many 400 + 300 + 100 batches, and 4,000 cases by themselves: 20,000 in all.
PLAIN, MODERN, SESSION, BODIES = cases(40, 400), cases(30, 300), cases(10, 100), cases(200, 4_000)


def unhurried(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


seeds = st.integers(min_value=0, max_value=2**64 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Asgi:
    """A gateway that is called without a network."""

    app: ASGIApp
    key: str

    async def post(self, body: bytes, **headers: str) -> Answer:
        """One POST to /mcp. The client stays until it has the whole answer."""
        told = {
            "host": "127.0.0.1",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "x-api-key": self.key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        given_body = False
        done = anyio.Event()
        messages: list[Message] = []

        async def receive() -> Message:
            nonlocal given_body
            if not given_body:
                given_body = True
                return {"type": "http.request", "body": body, "more_body": False}
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            messages.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                done.set()

        with anyio.fail_after(30):
            await self.app(scope, receive, send)
        start, *rest = messages
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], answered, b"".join(message.get("body", b"") for message in rest))


@pytest.fixture
async def asgi(parts: Components) -> AsyncIterator[Asgi]:
    tenant = await tenant_by_slug(parts.database)
    key = (await parts.keys.create(tenant.id, "test", ["all"])).key
    app = Gateway(parts).application()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Asgi(app, key)


def check(answer: Answer, body: bytes) -> None:
    """Not the fault of the gateway, and an answer that a client can read."""
    assert answer.status < 500, (body, answer)
    if answer.status == 202 or not answer.body:
        return
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = [line for line in answer.body.split(b"\n") if line.startswith(b"data:") and line.strip() != b"data:"]
        decoded = json.loads(lines[-1].removeprefix(b"data:")) if lines else {"result": {}}
    elif answer.headers.get("content-type", "").startswith("application/json"):
        decoded = json.loads(answer.body)
    else:
        return
    assert ("result" in decoded) != ("error" in decoded), (body, answer)
    error = decoded.get("error", {})
    assert "Internal error" not in str(error.get("message")), (body, answer)


@unhurried(PLAIN)
@given(number=seeds)
async def test_plain_posts(asgi: Asgi, number: int) -> None:
    random = Random(number)
    for _ in range(BATCH):
        body = mangled(random)
        check(await asgi.post(body), body)


@unhurried(MODERN)
@given(number=seeds)
async def test_requests_of_the_modern_era(asgi: Asgi, number: int) -> None:
    random = Random(number)
    for _ in range(BATCH):
        body = mangled(random, modern=True)
        headers = {"mcp_protocol_version": "2026-07-28"}
        # What the headers have to repeat, as far as it can be found.
        for header, member in (
            ("mcp_method", rb'"method": "([ -~]*?)"'),
            ("mcp_name", rb'"(?:name|uri)": "([ -~]*?)"'),
        ):
            found = re.search(member, body)
            if found is not None:
                headers[header] = found[1].decode()
        check(await asgi.post(body, **headers), body)


@unhurried(SESSION)
@given(number=seeds)
async def test_requests_in_a_session_which_lives_on(asgi: Asgi, number: int) -> None:
    random = Random(number)
    session = await _opened(asgi)
    for _ in range(BATCH):
        body = mangled(random)
        check(await asgi.post(body, mcp_session_id=session), body)
    ping = json.dumps({"jsonrpc": "2.0", "id": "still there", "method": "ping"}).encode()
    answer = await asgi.post(ping, mcp_session_id=session)
    assert (answer.status, b"still there" in answer.body) == (200, True)


@unhurried(BODIES)
@given(value=json_values)
async def test_bodies_of_any_json(asgi: Asgi, value: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": value}).encode()
    check(await asgi.post(body), body)


async def _opened(asgi: Asgi) -> str:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    initialize = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    session = (await asgi.post(json.dumps(initialize).encode())).headers["mcp-session-id"]
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await asgi.post(json.dumps(initialized).encode(), mcp_session_id=session)
    return session
