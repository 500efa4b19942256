"""Sessions over streamable HTTP and HTTP+SSE."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import UpstreamProtocolError, UpstreamReplyError, UpstreamTimeoutError, UpstreamUnavailableError
from gateway.json_codec import Message
from gateway.upstream.request import CallHooks, UpstreamRequest
from tests.upstream.conftest import Connect, serving, web
from tests.upstream.processes import until
from tests.upstream.servers.odd import Odd
from tests.upstream.servers.sdk import build

MEBIBYTE = 2**20


@pytest.fixture
async def sdk_url() -> AsyncIterator[str]:
    async with serving(build().streamable_http_app()) as root:
        yield f"{root}/mcp"


@pytest.fixture
async def sse_url() -> AsyncIterator[str]:
    async with serving(build().sse_app()) as root:
        yield f"{root}/sse"


@pytest.fixture
def odd() -> Odd:
    return Odd()


@pytest.fixture
async def odd_url(odd: Odd) -> AsyncIterator[str]:
    async with serving(odd.app) as root:
        yield root


@pytest.mark.parametrize(("probe", "era"), [(True, "modern"), (False, "handshake")])
async def test_a_server_made_with_the_sdk_is_called_in_both_eras(
    connect: Connect, sdk_url: str, probe: bool, era: str
) -> None:
    steps: list[Any] = []

    async def on_progress(*progress: Any) -> None:
        steps.append(progress)

    async with connect(web(sdk_url), probe=probe) as session:
        assert session.info.era == era
        assert session.info.instructions == "Ask for colours."
        tools = await session.list_all("tools/list", "tools")
        result = await session.request(UpstreamRequest("tools/call", {"name": "add", "arguments": {"a": 20, "b": 22}}))
        await session.request(
            UpstreamRequest("tools/call", {"name": "steps"}, hooks=CallHooks(on_progress=on_progress))
        )
        assert 0 < await session.ping(timeout=5) < 5000
    assert [tool["name"] for tool in tools] == ["add", "much", "steps", "colour", "wait"]
    assert result["structuredContent"] == {"result": 42}
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_a_server_over_http_and_sse_is_called(connect: Connect, sse_url: str) -> None:
    async with connect(web(sse_url, transport="sse")) as session:
        assert session.info.era == "handshake"
        result = await session.request(UpstreamRequest("tools/call", {"name": "add", "arguments": {"a": 20, "b": 22}}))
        large = await session.request(
            UpstreamRequest("tools/call", {"name": "much", "arguments": {"size": 3 * MEBIBYTE}})
        )
    assert result["structuredContent"] == {"result": 42}
    assert len(large["content"][0]["text"]) == 3 * MEBIBYTE


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_question_of_the_handshake_era_reaches_the_call(
    connect: Connect, sdk_url: str, sse_url: str, transport: str
) -> None:
    async def on_question(method: str, params: Message) -> Message:
        assert method == "elicitation/create"
        assert params["message"] == "Which colour?"
        return {"action": "accept", "content": {"colour": "red"}}

    spec = web(sse_url if transport == "sse" else sdk_url, transport=transport)
    async with connect(spec, probe=False, capabilities={"elicitation": {"form": {}}}) as session:
        hooks = CallHooks(on_server_request=on_question)
        result = await session.request(UpstreamRequest("tools/call", {"name": "colour"}, hooks=hooks))
    assert result["content"][0]["text"] == "red"


@pytest.mark.parametrize("probe", [True, False])
async def test_a_result_of_several_mebibytes_arrives_whole(connect: Connect, sdk_url: str, probe: bool) -> None:
    async with connect(web(sdk_url), probe=probe) as session:
        result = await session.request(
            UpstreamRequest("tools/call", {"name": "much", "arguments": {"size": 5 * MEBIBYTE}})
        )
    assert len(result["content"][0]["text"]) == 5 * MEBIBYTE


@pytest.mark.parametrize("path", ["big", "big_events"])
async def test_a_result_over_the_limit_is_an_error_of_that_call_alone(
    connect: Connect, odd_url: str, path: str
) -> None:
    async with connect(web(f"{odd_url}/{path}"), max_message_bytes=MEBIBYTE) as session:
        with pytest.raises(UpstreamProtocolError, match="a message of over 1,048,576 bytes"):
            await session.request(UpstreamRequest("tools/call", {"name": "x", "size": 2 * MEBIBYTE}))
        assert await session.request(UpstreamRequest("tools/call", {"name": "x", "size": 1}))


async def test_a_cancelled_caller_closes_the_stream(connect: Connect, odd: Odd, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/stuck")) as session:
        with pytest.raises(UpstreamTimeoutError):
            await session.request(UpstreamRequest("tools/call", {"name": "x"}, timeout=0.3))
        with anyio.fail_after(5):
            await odd.closed_streams.wait()
        await until(lambda: any(seen.get("method") == "notifications/cancelled" for _, _, seen in odd.seen))


async def test_headers_of_the_spec_and_of_the_protocol_are_sent(connect: Connect, odd: Odd, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/handshake", headers={"Authorization": "Bearer upstream"})) as session:
        result = await session.request(UpstreamRequest("tools/call", {"name": "x"}))
    sent = result["headers"]
    assert sent["authorization"] == "Bearer upstream"
    assert sent["mcp-session-id"] == "session-1"
    assert sent["mcp-protocol-version"] == "2025-06-18"
    method, headers, _ = odd.seen[-1]
    assert (method, headers["mcp-session-id"]) == ("DELETE", "session-1")


async def test_arguments_are_repeated_in_headers_where_the_schema_wants_it(
    connect: Connect, odd: Odd, odd_url: str
) -> None:
    async with connect(web(f"{odd_url}/mirror")) as session:
        call = {"name": "deploy", "arguments": {"region": "zürich"}}
        sent = (await session.request(UpstreamRequest("tools/call", call)))["headers"]
    assert sent["mcp-method"] == "tools/call"
    assert sent["mcp-name"] == "deploy"
    assert sent["mcp-param-region"] == "=?base64?esO8cmljaA==?="
    assert [seen["method"] for _, _, seen in odd.seen] == [
        "server/discover",
        "tools/call",
        "tools/list",
        "tools/call",
    ]


async def test_a_stream_may_begin_with_a_byte_order_mark(connect: Connect, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/marked")) as session:
        assert await session.request(UpstreamRequest("tools/call", {"name": "x"})) == {"marked": True}


async def test_a_server_over_sse_may_answer_where_it_is_asked(connect: Connect, odd: Odd) -> None:
    async def stream(_: Request) -> Response:
        return StreamingResponse(odd.never("event: endpoint\ndata: /handshake\n\n"), media_type="text/event-stream")

    routes = [Route("/sse", stream), Route("/{behaviour}", odd.post, methods=["POST"])]
    async with serving(Starlette(routes=routes)) as root, connect(web(f"{root}/sse", transport="sse")) as session:
        assert (await session.request(UpstreamRequest("tools/call", {"name": "x"})))["content"] == []


async def test_what_a_server_over_sse_says_where_it_is_asked_is_an_answer_to_nothing_else(
    connect: Connect, odd: Odd
) -> None:
    send, answers = anyio.create_memory_object_stream[str](10)

    async def stream(_: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "event: endpoint\ndata: /handshake\n\n"
            async for answer in answers:
                yield f"data: {answer}\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def take(request: Request) -> Response:
        answer = bytes((await odd.post(request)).body).decode()
        # As an answer to a notification would be.
        taken: dict[str, Any] = {"jsonrpc": "2.0", "id": None, "result": {}}
        return JSONResponse(taken, background=BackgroundTask(send.send, answer) if answer else None)

    routes = [Route("/sse", stream), Route("/{behaviour}", take, methods=["POST"])]
    async with (
        send,
        answers,
        serving(Starlette(routes=routes)) as root,
        connect(web(f"{root}/sse", transport="sse")) as session,
    ):
        assert "headers" in await session.request(UpstreamRequest("tools/call", {"name": "x"}))


async def test_lines_that_end_in_a_carriage_return_have_ended(connect: Connect, odd: Odd, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/returns")) as session:
        assert await session.request(UpstreamRequest("tools/call", {"name": "x"})) == {"returns": True}
    with anyio.fail_after(5):
        await odd.closed_streams.wait()


@pytest.mark.parametrize("path", ["says", "says_more"])
async def test_an_error_without_a_code_is_told_in_its_words(connect: Connect, odd_url: str, path: str) -> None:
    async with connect(web(f"{odd_url}/{path}")) as session:
        with pytest.raises(UpstreamReplyError, match="the disk is full"):
            await session.request(UpstreamRequest("tools/call", {"name": "x"}))


async def test_a_stream_that_breaks_off_is_resumed(connect: Connect, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/resume")) as session:
        assert await session.request(UpstreamRequest("tools/call", {"name": "x"})) == {"resumed": True}


async def test_a_redirect_within_the_origin_is_followed(connect: Connect, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/moved")) as session:
        assert await session.request(UpstreamRequest("tools/call", {"name": "x"}))


async def test_a_redirect_elsewhere_is_not_followed_and_named_without_secrets(connect: Connect, odd_url: str) -> None:
    with pytest.raises(UpstreamUnavailableError, match=r"redirects to http://example.invalid/mcp; set that"):
        async with connect(web(f"{odd_url}/away")):
            pass


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("401", r"refused the gateway's credentials \(HTTP 401\)"),
        ("404", r"has nothing at its address \(HTTP 404\)"),
        ("500", "answered with HTTP status 500"),
    ],
)
async def test_an_http_status_is_explained(connect: Connect, odd_url: str, path: str, message: str) -> None:
    with pytest.raises(UpstreamUnavailableError, match=message):
        async with connect(web(f"{odd_url}/{path}")):
            pass


async def test_a_web_page_is_not_mcp(connect: Connect, odd_url: str) -> None:
    with pytest.raises(UpstreamProtocolError, match="answered with text/html, which is not MCP"):
        async with connect(web(f"{odd_url}/page")):
            pass


@pytest.mark.parametrize("path", ["garbage", "other"])
async def test_a_reply_that_is_not_one_is_an_error_at_once(connect: Connect, odd_url: str, path: str) -> None:
    async with connect(web(f"{odd_url}/{path}")) as session:
        with anyio.fail_after(5), pytest.raises(UpstreamProtocolError, match="not MCP"):
            await session.request(UpstreamRequest("tools/call", {"name": "x"}))


async def test_a_stream_without_a_reply_is_an_error_at_once(connect: Connect, odd_url: str) -> None:
    async with connect(web(f"{odd_url}/cut")) as session:
        with anyio.fail_after(5), pytest.raises(UpstreamUnavailableError, match="ended its reply"):
            await session.request(UpstreamRequest("tools/call", {"name": "x"}))


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_port_nobody_listens_on_is_named(connect: Connect, transport: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/mcp"
        with pytest.raises(UpstreamUnavailableError, match=f"Web Server cannot be reached at {url}"):
            async with connect(web(f"{url}?api_key=secret", transport=transport)):
                pass


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_port_that_never_answers_times_out(connect: Connect, transport: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        with pytest.raises(UpstreamTimeoutError, match=r"did not start a session within 0\.4 s"):
            async with connect(web(url, transport=transport, connect_timeout=0.4)):
                pass


@pytest.mark.parametrize("url", ["", "ftp://somewhere", "http://host:port", "http://"])
async def test_an_address_that_cannot_be_used_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(UpstreamUnavailableError, match="Web Server has an address"):
        async with connect(web(url)):
            pass


async def test_a_page_that_is_no_event_stream_is_not_mcp(connect: Connect, odd_url: str) -> None:
    with pytest.raises(UpstreamUnavailableError, match="HTTP status 405"):
        async with connect(web(f"{odd_url}/page", transport="sse")):
            pass


async def test_a_page_in_place_of_an_event_stream_is_told(connect: Connect) -> None:
    async def page(request: Request) -> Response:
        return PlainTextResponse("welcome")

    async with serving(Starlette(routes=[Route("/sse", page)])) as root:
        with pytest.raises(UpstreamProtocolError, match="sent a broken event stream"):
            async with connect(web(f"{root}/sse", transport="sse")):
                pass
