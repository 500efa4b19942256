"""An HTTP client for everything that is not MCP traffic, bounded in bytes, time and redirects."""

from __future__ import annotations

import functools
import os
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2

DEFAULT_MAX_BYTES = 1024 * 1024

# The head of gzip and of zlib are told apart by the library.
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_PIECE_BYTES = 64 * 1024


class BoundedHttpClient(httpx2.AsyncClient):
    """Reads every answer whole: at most `max_bytes` of it, decompressed, within `total_seconds` in all.

    Redirects are followed for GET and HEAD only, at most `max_redirects` of them and never from https to http; any
    other is the answer. `options` are those of httpx2.AsyncClient.
    """

    def __init__(
        self, *, total_seconds: float, max_bytes: int = DEFAULT_MAX_BYTES, max_redirects: int = 0, **options: Any
    ) -> None:
        timeout, verify = options.pop("timeout", total_seconds), options.pop("verify", True)
        if verify is True and options.get("trust_env", True):
            verify = trusted_authorities()
        super().__init__(timeout=timeout, follow_redirects=False, verify=verify, **options)
        self.headers["Accept-Encoding"] = "gzip, deflate"
        self._total_seconds = total_seconds
        self._max_bytes = max_bytes
        self._allowed_redirects = max_redirects

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The answer to `request`, its body read.

        Raises httpx2.ReadTimeout where it takes too long, httpx2.DecodingError where it is too long or cannot be
        decompressed, httpx2.TooManyRedirects, and what httpx2 raises for a server that is not there.
        """
        # Nothing but this class reads a body: what httpx2 reads by itself has no bound.
        options |= {"stream": True, "follow_redirects": False}
        try:
            with anyio.fail_after(self._total_seconds):
                return await self._send_following_redirects(request, options)
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no whole answer within {self._total_seconds:g} s", request=request) from None

    async def _send_following_redirects(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        for _ in range(self._allowed_redirects + 1):
            response = await super().send(request, **options)
            try:
                body = await read_bounded(response, self._max_bytes)
                if body is None:
                    raise _unreadable(response, f"the answer is longer than {self._max_bytes:,} bytes")
            finally:
                await response.aclose()
            following = response.next_request
            if following is None or not self._may_follow(request, following):
                return _answer(response, body)
            request = following
        raise httpx2.TooManyRedirects(f"more than {self._allowed_redirects} redirects", request=request)

    def _may_follow(self, request: httpx2.Request, following: httpx2.Request) -> bool:
        downgraded = request.url.scheme == "https" and following.url.scheme != "https"
        return self._allowed_redirects > 0 and request.method in ("GET", "HEAD") and not downgraded


def trusted_authorities() -> ssl.SSLContext:
    """What verifies servers where nothing else is said; shared, for to read all authorities takes 10 ms and more."""
    return _read_authorities(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _read_authorities(_file: str | None, _directory: str | None) -> ssl.SSLContext:
    # The variables are read by the library; another value of theirs is another list.
    return httpx2.create_ssl_context()


async def read_bounded(response: httpx2.Response, max_bytes: int) -> bytes | None:
    """The body of a response that is not read yet, decompressed; None where it is longer than `max_bytes`.

    Raises httpx2.DecodingError for one that is not compressed as it says.
    """
    limit_decompression(response)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > max_bytes:
            return None
    return bytes(body)


def limit_decompression(response: httpx2.Response) -> None:
    """Have the body of a response that is not read yet come decompressed, in pieces of at most 64 KiB.

    httpx2 decompresses whatever has arrived at once, and a byte may stand for a thousand. Raises httpx2.DecodingError
    for a compression that was not asked for.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _unreadable(response, f"the answer is compressed with {encoding[:50]}, which was not asked for")
    del response.headers["content-encoding"]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Decompressed(response.stream)


class _Decompressed(httpx2.AsyncByteStream):
    """The bytes of `compressed`, which is gzip or zlib."""

    def __init__(self, compressed: httpx2.AsyncByteStream) -> None:
        self._compressed = compressed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        begun = False
        async for chunk in self._compressed:
            begun = True
            while chunk:
                try:
                    piece = decompressor.decompress(chunk, _PIECE_BYTES)
                except zlib.error:
                    raise httpx2.DecodingError("the answer cannot be decompressed") from None
                if piece:
                    yield piece
                chunk = decompressor.unconsumed_tail
        if rest := decompressor.flush():
            yield rest
        if begun and not decompressor.eof:
            raise httpx2.DecodingError("the answer ends before its compressed form does")

    async def aclose(self) -> None:
        await self._compressed.aclose()


def _answer(response: httpx2.Response, body: bytes) -> httpx2.Response:
    """`response` with `body` as its content."""
    about_transfer = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in about_transfer]
    answer = httpx2.Response(
        response.status_code, headers=headers, content=body, request=response.request, extensions=response.extensions
    )
    answer.next_request = response.next_request
    return answer


def _unreadable(response: httpx2.Response, reason: str) -> httpx2.DecodingError:
    return httpx2.DecodingError(reason, request=response.request)
