"""The HTTP transport without TLS, against servers that write raw bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint

from gateway.upstream.http.plain_http import PlainHttpTransport, supports_url
from gateway.upstream.policy import DEFAULT_POLICY
from tests.upstream.processes import until


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=PlainHttpTransport(1.0, 0.3, 4, DEFAULT_POLICY, "Test")) as opened:
        yield opened


@dataclass
class Received:
    message: bytes
    port: int
    connection_closed: bool = False


@asynccontextmanager
async def serving(*answers: bytes, close: bool = False) -> AsyncIterator[tuple[str, list[Received]]]:
    """A server that gives each request on any connection the next of `answers`; yields its address and what it got."""
    requests: list[Received] = []
    left = list(answers)

    async def talk(stream: SocketStream) -> None:
        async with stream:
            try:
                while left:
                    requests.append(Received(await stream.receive(), stream.extra(SocketAttribute.remote_port)))
                    await stream.send(left.pop(0))
                    if close:
                        return
                await anyio.sleep_forever()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            finally:
                await stream.aclose()
                for request in requests:
                    request.connection_closed = True

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield f"http://127.0.0.1:{port}/mcp?x=1", requests
        tasks.cancel_scope.cancel()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_head_and_body_go_out_in_one_piece(client: httpx2.AsyncClient) -> None:
    async with serving(OK) as (url, requests):
        response = await client.post(url, content=b"hello", headers={"x-one": "1"})
    assert (response.status_code, response.content) == (200, b"ok")
    head, _, body = requests[0].message.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /mcp?x=1 HTTP/1.1\r\n")
    assert b"\r\nx-one: 1" in head.lower()
    assert b"\r\ncontent-length: 5" in head.lower()
    assert body == b"hello"


async def test_a_connection_is_used_again(client: httpx2.AsyncClient) -> None:
    async with serving(OK, OK, OK) as (url, requests):
        for _ in range(3):
            await client.get(url)
    assert [request.port for request in requests] == [requests[0].port] * 3


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
async def test_every_framing_is_read(client: httpx2.AsyncClient, answer: bytes, body: bytes) -> None:
    async with serving(answer) as (url, _):
        response = await client.get(url)
    assert response.content == body
    assert "link" not in response.headers


async def test_a_body_may_end_with_the_connection(client: httpx2.AsyncClient) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True) as (url, _):
        assert (await client.get(url)).content == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"x-filler: y\r\n" * 60_000,
        b"",
    ],
)
async def test_what_is_not_a_whole_response_is_an_error(client: httpx2.AsyncClient, answer: bytes) -> None:
    async with serving(answer, close=True) as (url, _):
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)), anyio.fail_after(5):
            await client.get(url)


async def test_a_connection_that_the_server_has_closed_is_not_used_again(client: httpx2.AsyncClient) -> None:
    async with serving(OK, OK, close=True) as (url, requests):
        await client.get(url)
        await until(lambda: requests[0].connection_closed)
        await client.get(url)
    assert len(requests) == 2


async def test_a_connection_of_which_only_a_part_was_read_is_not_used_again(client: httpx2.AsyncClient) -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    async with serving(long, OK) as (url, requests):
        async with client.stream("GET", url) as response:
            assert await anext(response.aiter_raw()) == b"only this"
        assert (await client.get(url)).content == b"ok"
    assert len(requests) == 2


async def test_a_large_body_is_read_piece_by_piece(client: httpx2.AsyncClient) -> None:
    size = 8 * 2**20
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"z" * size
    async with serving(answer) as (url, _), client.stream("GET", url) as response:
        largest = total = 0
        async for piece in response.aiter_raw():
            largest, total = max(largest, len(piece)), total + len(piece)
            await checkpoint()
    assert total == size
    assert largest < 2**20


async def test_a_header_with_a_line_break_is_never_sent(client: httpx2.AsyncClient) -> None:
    async with serving(OK) as (url, requests):
        with pytest.raises(httpx2.LocalProtocolError):
            await client.get(url, headers={"x-evil": "1\r\nx-more: 2"})
    assert requests == []


async def test_nothing_that_wants_tls_is_sent_in_the_clear(client: httpx2.AsyncClient) -> None:
    async with serving(OK) as (url, requests):
        with pytest.raises(httpx2.UnsupportedProtocol):
            await client.get(url.replace("http:", "https:"))
    assert requests == []


def test_only_plain_addresses_without_a_proxy_suit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert supports_url(httpx2.URL("http://a.example/mcp"))
    assert not supports_url(httpx2.URL("https://a.example/mcp"))
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "b.example")
    assert not supports_url(httpx2.URL("http://a.example/mcp"))
    assert supports_url(httpx2.URL("http://b.example/mcp"))
