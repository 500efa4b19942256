"""Answers of HTTP servers that are not MCP servers: read whole, or refused before they cost anything."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.bounded_http_client import BoundedHttpClient
from tests.support.serving import serving

KIB = 1024
MIB = 1024 * 1024


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(64 * KIB)
        await anyio.lowlevel.checkpoint()


async def _dripping() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await anyio.sleep(0.01)


async def _empty_blocks() -> AsyncIterator[bytes]:
    """A gzip stream that never ends and says nothing."""
    yield zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH)
    while True:
        yield b"\x00\x00\x00\xff\xff" * 10_000
        await anyio.lowlevel.checkpoint()


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


def _packed(body: bytes, encoding: str) -> Response:
    return Response(body, headers={"Content-Encoding": encoding})


class Odd:
    """A server whose answers are as its paths say; `asked` are the method and path of each request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bomb = _bomb(64 * MIB)

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/{name:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked.append((request.method, name))
        if name.startswith("hop/"):
            left = int(name.removeprefix("hop/"))
            return RedirectResponse(f"/hop/{left - 1}", 307) if left else Response(b"there")
        if name == "endless":
            return StreamingResponse(_endless())
        if name == "dripping":
            return StreamingResponse(_dripping())
        if name == "empty blocks":
            return StreamingResponse(_empty_blocks(), headers={"Content-Encoding": "gzip"})
        return {
            "plain": lambda: Response(b"x" * 10, headers={"X-Kept": "yes"}),
            "gzip": lambda: _packed(gzip.compress(b"hello"), "gzip"),
            "deflate": lambda: _packed(zlib.compress(b"hello"), "deflate"),
            "bomb": lambda: _packed(self.bomb, "gzip"),
            "twice": lambda: _packed(gzip.compress(self.bomb), "gzip, gzip"),
            "brotli": lambda: _packed(b"x", "br"),
            "torn": lambda: _packed(gzip.compress(b"hello")[:-9], "gzip"),
            "no gzip": lambda: _packed(b"hello", "gzip"),
            "exactly": lambda: Response(bytes(MIB)),
            "one more": lambda: Response(bytes(MIB + 1)),
        }[name]()


@pytest.fixture
def odd() -> Odd:
    return Odd()


@pytest.fixture
async def url(odd: Odd) -> AsyncIterator[str]:
    async with serving(odd.application()) as running:
        yield running


@pytest.mark.parametrize(("path", "body"), [("plain", b"x" * 10), ("gzip", b"hello"), ("deflate", b"hello")])
async def test_an_answer_within_its_bounds_comes_as_it_was_meant(url: str, path: str, body: bytes) -> None:
    async with BoundedHttpClient(total_seconds=5) as client:
        answer = await client.get(f"{url}/{path}")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, body, str(len(body)))
    assert path != "plain" or answer.headers["x-kept"] == "yes"


async def test_a_mebibyte_is_read_and_no_byte_more(url: str) -> None:
    async with BoundedHttpClient(total_seconds=5) as client:
        assert len((await client.get(f"{url}/exactly")).content) == MIB
        with pytest.raises(httpx2.DecodingError, match="longer than 1,048,576 bytes"):
            await client.get(f"{url}/one more")


@pytest.mark.parametrize("path", ["endless", "empty blocks", "bomb"])
async def test_an_answer_without_end_is_given_up_at_the_bound(url: str, path: str) -> None:
    async with BoundedHttpClient(total_seconds=0.5 if path == "empty blocks" else 5) as client:
        tracemalloc.start()
        try:
            with pytest.raises((httpx2.DecodingError, httpx2.ReadTimeout), match=r"longer than|no whole answer"):
                await client.get(f"{url}/{path}")
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("twice", "not asked for"), ("brotli", "not asked for"), ("torn", "ends before"), ("no gzip", "decompressed")],
)
async def test_an_answer_compressed_in_another_way_is_refused(url: str, path: str, reason: str) -> None:
    async with BoundedHttpClient(total_seconds=5) as client:
        with pytest.raises(httpx2.DecodingError, match=reason):
            await client.get(f"{url}/{path}")


async def test_a_stream_has_the_same_bounds(url: str) -> None:
    async with BoundedHttpClient(total_seconds=5, max_bytes=KIB) as client:
        with pytest.raises(httpx2.DecodingError):
            async with client.stream("GET", f"{url}/bomb"):
                pass


async def test_who_sends_a_byte_now_and_then_is_given_up_when_the_time_is_over(url: str) -> None:
    async with BoundedHttpClient(total_seconds=0.2) as client:
        with pytest.raises(httpx2.ReadTimeout, match=r"within 0\.2 s"):
            await client.get(f"{url}/dripping")


async def test_redirects_are_followed_as_often_as_was_said_and_never_with_a_body(url: str, odd: Odd) -> None:
    async with BoundedHttpClient(total_seconds=5) as client:
        assert (await client.get(f"{url}/hop/1")).status_code == 307
    async with BoundedHttpClient(total_seconds=5, max_redirects=2) as client:
        assert (await client.get(f"{url}/hop/2")).content == b"there"
        with pytest.raises(httpx2.TooManyRedirects):
            await client.get(f"{url}/hop/3")
        odd.asked.clear()
        assert (await client.post(f"{url}/hop/1", content=b"secret")).status_code == 307
        assert odd.asked == [("POST", "hop/1")]


async def test_no_redirect_leads_from_https_to_http() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "http://example.com/"}, stream=httpx2.ByteStream(b""))

    async with BoundedHttpClient(total_seconds=5, max_redirects=5, transport=httpx2.MockTransport(answer)) as client:
        assert (await client.get("https://example.com/")).status_code == 302
