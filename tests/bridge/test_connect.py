"""`modelgate connect`, started as desktop clients start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from anyio.abc import Process
from mcp import Client, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.cli.connect import mcp_endpoint
from gateway.errors import InvalidInputError
from tests.support.gateway import RunningGateway, add_local_mcp
from tests.upstream.conftest import serving
from tests.upstream.servers.sdk import build

Mode = Literal["legacy", "auto"]


def parameters(url: str, key: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "gateway", "connect"],
        env={"MODELGATE_URL": url, "MODELGATE_API_KEY": key},
    )


def text(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_finds_and_calls_tools_in_either_era(
    gateway: RunningGateway, tmp_path: Path, mode: Mode
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    async with Client(parameters(gateway.url, gateway.key), mode=mode) as client:
        assert (client.protocol_version >= "2026") == (mode == "auto")
        assert "tool_search" in {tool.name for tool in (await client.list_tools()).tools}
        found = json.loads(text(await client.call_tool("tool_search", {"query": "calculate math expressions"})))
        name = found["tools"][0]["name"]
        assert "42" in text(await client.call_tool(name, {"expression": "6 * 7"}))


async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "blue"})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_progress_comes_through(mode: Mode) -> None:
    heard: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with serving(build().streamable_http_app()) as url, Client(parameters(url, "any"), mode=mode) as client:
        assert text(await client.call_tool("steps", {}, progress_callback=on_progress)) == "done"
        assert heard == [(1, "step 1"), (2, "step 2"), (3, "step 3")]


async def test_a_question_on_the_session_is_answered_by_the_client() -> None:
    async with (
        serving(build().streamable_http_app()) as url,
        Client(parameters(url, "any"), mode="legacy", elicitation_callback=answer) as client,
    ):
        assert text(await client.call_tool("colour", {})) == "blue"


async def test_a_question_in_a_result_is_answered_by_the_client() -> None:
    async with (
        serving(Starlette(routes=[Route("/mcp", asking, methods=["POST"])])) as url,
        Client(parameters(url, "any"), elicitation_callback=answer) as client,
    ):
        assert text(await client.call_tool("colour", {})) == "blue"


async def asking(request: Request) -> Response:
    """A modern server that asks through results."""
    message = await request.json()
    assert request.headers["mcp-method"] == message["method"]
    if message["method"] == "server/discover":
        result: dict[str, Any] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0}
        result |= {"resultType": "complete", "cacheScope": "private"}
    elif message["method"] == "tools/list":
        result = {"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"}
    elif "inputResponses" not in message["params"]:
        schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
        question = {"message": "Which colour?", "requestedSchema": schema, "mode": "form"}
        questions = {"q": {"method": "elicitation/create", "params": question}}
        result = {"resultType": "input_required", "inputRequests": questions, "requestState": "kept"}
    else:
        assert request.headers["mcp-name"] == "colour"
        assert message["params"]["requestState"] == "kept"
        colour = message["params"]["inputResponses"]["q"]["content"]["colour"]
        result = {"resultType": "complete", "content": [{"type": "text", "text": colour}]}
    return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_cancelled_call_holds_up_no_other(mode: Mode) -> None:
    async with serving(build().streamable_http_app()) as url, Client(parameters(url, "any"), mode=mode) as client:
        with anyio.move_on_after(0.3) as given_up:
            await client.call_tool("wait", {})
        assert given_up.cancelled_caught
        assert text(await client.call_tool("add", {"a": 1, "b": 2})) == "3"


async def test_a_session_that_the_gateway_forgot_is_opened_again() -> None:
    app, sessions = build().streamable_http_app(), list[str]()

    async def forgetful(scope: Any, receive: Any, send: Any) -> None:
        """Forgets the first session once a second request of a tool comes."""
        headers = dict(scope.get("headers", ()))
        session = headers.get(b"mcp-session-id", b"").decode()
        if session and session not in sessions:
            sessions.append(session)
        if session and session == sessions[0] and forget.is_set():
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    forget = anyio.Event()
    async with serving(forgetful) as url, Client(parameters(url, "any"), mode="legacy") as client:
        assert text(await client.call_tool("add", {"a": 1, "b": 2})) == "3"
        forget.set()
        assert text(await client.call_tool("add", {"a": 3, "b": 4})) == "7"
        assert len(sessions) == 2


async def test_messages_pass_untouched_and_lines_that_are_none_are_refused() -> None:
    seen: list[dict[str, Any]] = []

    async def echo(request: Request) -> Response:
        message = await request.json()
        seen.append(message)
        result = {"content": [], "x-unknown": {"b": [1, None], "a": 2.5}, "_meta": {"vendor/key": "kept"}}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    app = Starlette(routes=[Route("/mcp", echo, methods=["POST"])])
    async with serving(app) as url, bridge(url) as process:
        request = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "x", "y-vendor": [None]}}
        answers = await exchange(process, b"no json\n" + json.dumps(request).encode() + b"\n", 2)
    assert seen == [request]
    assert answers[0]["error"]["code"] == -32700
    assert list(answers[1]["result"]) == ["content", "x-unknown", "_meta"]
    assert answers[1]["result"]["x-unknown"] == {"b": [1, None], "a": 2.5}


async def test_a_signal_ends_it_though_the_client_keeps_its_input_open(unused_url: str) -> None:
    given = parameters(unused_url, "any")
    async with await anyio.open_process([given.command, *given.args], env=given.env, stderr=None) as process:
        await exchange(process, b"no json\n", 1)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0


async def test_a_last_line_without_a_line_break_is_taken(unused_url: str) -> None:
    given = parameters(unused_url, "any")
    ended = await anyio.run_process([given.command, *given.args], env=given.env, input=b"no json", stderr=None)
    assert json.loads(ended.stdout)["error"]["code"] == -32700


async def test_a_wrong_key_is_told_to_the_client(gateway: RunningGateway) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a task group of the SDK wraps it
        async with Client(parameters(gateway.url, "mg_" + "0" * 64), mode="legacy"):
            pass
    assert "key" in sentences(caught.value)


async def test_a_gateway_that_is_down_is_told_to_the_client(unused_url: str) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a task group of the SDK wraps it
        async with Client(parameters(unused_url, "mg_x"), mode="legacy"):
            pass
    assert f"ModelGate cannot be reached at {unused_url}/mcp" in sentences(caught.value)


def test_a_missing_key_ends_the_command_with_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "connect"], capture_output=True, text=True, env={"PATH": ""}, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: There is no API key; set MODELGATE_API_KEY")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/mcp"),
        ("https://gate.example/", "https://gate.example/mcp"),
        ("https://gate.example/mcp", "https://gate.example/mcp"),
        ("https://gate.example/team/mcp", "https://gate.example/team/mcp"),
    ],
)
def test_the_endpoint_is_known_from_the_address_of_the_gateway(url: str, endpoint: str) -> None:
    assert mcp_endpoint(url) == endpoint


def test_an_address_without_a_host_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has to begin with http"):
        mcp_endpoint("localhost:8080")


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:80800", "http://gate.example:mcp"])
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidInputError, match="is none") as refused:
        mcp_endpoint(url)
    assert repr(url) in str(refused.value)


def test_input_that_cannot_be_read_is_at_its_end() -> None:
    given = parameters("http://127.0.0.1:1", "any")
    with open(os.devnull, "wb") as unreadable:
        ended = subprocess.run(
            [given.command, *given.args],
            env=given.env,
            stdin=unreadable,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
    assert ended.stdout == b""


def test_a_command_without_standard_streams_says_so() -> None:
    given = parameters("http://127.0.0.1:1", "any")
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" <&-', given.command, *given.args],
        stderr=subprocess.PIPE,
        env=given.env,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"Error: Standard input or output is closed")


@asynccontextmanager
async def bridge(url: str) -> AsyncIterator[Process]:
    """The command as a bare process."""
    given = parameters(url, "any")
    async with await anyio.open_process([given.command, *given.args], env=given.env, stderr=None) as process:
        yield process
        assert process.stdin is not None
        await process.stdin.aclose()
        assert await process.wait() == 0


async def exchange(process: Process, sent: bytes, answers: int) -> list[dict[str, Any]]:
    """Send bytes and read as many messages."""
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(sent)
    received = b""
    while received.count(b"\n") < answers:
        received += await process.stdout.receive()
    return [json.loads(line) for line in received.splitlines()]


def sentences(error: BaseException) -> str:
    """All messages of an error and those it holds."""
    inner = getattr(error, "exceptions", ())
    return "\n".join([str(error), *(sentences(part) for part in inner)])


@pytest.fixture
async def unused_url() -> str:
    """An address where nothing listens any more."""
    async with serving(_nothing) as url:
        pass
    return url


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
