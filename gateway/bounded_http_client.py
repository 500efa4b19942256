"""An HTTP client for everything that is not MCP traffic, bounded in bytes, time and redirects."""

from __future__ import annotations

import zlib
from typing import Any

import anyio
import httpx2

DEFAULT_MAX_BYTES = 1024 * 1024

# The head of gzip and of zlib are told apart by the library.
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_ENCODINGS = ("gzip", "x-gzip", "deflate")


class BoundedHttpClient(httpx2.AsyncClient):
    """Reads every answer whole: at most `max_bytes`, as sent and decompressed, within `total_seconds` for all of it.

    Redirects are followed for GET and HEAD only, at most `max_redirects` of them and never from https to http; any
    other is the answer. `options` are those of httpx2.AsyncClient.
    """

    def __init__(
        self, *, total_seconds: float, max_bytes: int = DEFAULT_MAX_BYTES, max_redirects: int = 0, **options: Any
    ) -> None:
        super().__init__(timeout=options.pop("timeout", total_seconds), follow_redirects=False, **options)
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


async def read_bounded(response: httpx2.Response, max_bytes: int) -> bytes:
    """The body of a response that is not read yet, decompressed, at most `max_bytes` long before and after that.

    Raises httpx2.DecodingError for a longer one, and one that is not compressed as asked for.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", *_ENCODINGS):
        raise _unreadable(response, f"the answer is compressed with {encoding[:50]}, which was not asked for")
    decompressor = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _ENCODINGS else None
    body = bytearray()
    received = 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        if decompressor is not None:
            try:
                # At most one byte too many comes out, however much a byte stands for.
                chunk = decompressor.decompress(chunk, max_bytes + 1 - len(body))
            except zlib.error:
                raise _unreadable(response, "the answer cannot be decompressed") from None
        body += chunk
        if len(body) > max_bytes or received > max_bytes:
            raise _unreadable(response, f"the answer is longer than {max_bytes:,} bytes")
    if decompressor is not None and received and not decompressor.eof:
        raise _unreadable(response, "the answer ends before its compressed form does")
    return bytes(body)


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
