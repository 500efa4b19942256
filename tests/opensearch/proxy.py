"""A proxy before the cluster: TLS, basic authentication, and answers that a test has it give instead."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import aiohttp
from aiohttp import web

Answer: TypeAlias = tuple[int, Any]

Alter: TypeAlias = Callable[[str, str, Answer], Answer]
"""Method and path of a request, and the cluster's answer with its status; returns what the client is given."""


@dataclass
class ClusterProxy:
    """`alter` holds from the next request on, of those whose body holds `only`; with `password` only who has it, as
    `user`, is let through. Where the cluster is gone, connections end without an answer."""

    cluster: str
    user: str = "gateway"
    password: str = ""
    alter: Alter | None = None
    only: bytes = b""
    requests: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve until the block ends; gives its address."""
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        async with aiohttp.ClientSession() as self._session:
            try:
                yield f"{'https' if tls is not None else 'http'}://127.0.0.1:{port}"
            finally:
                await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        expected = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.password and request.headers.get("authorization") != expected:
            return web.Response(status=401, text="Unauthorized")
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        body = await request.read()
        try:
            async with self._session.request(
                request.method, f"{self.cluster}{request.raw_path}", data=body, headers=headers
            ) as response:
                status, content = response.status, await response.read()
        except aiohttp.ClientConnectionError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=502)
        if self.alter is not None and self.only in body:
            said = json.loads(content) if content else None
            status, said = self.alter(request.method, request.path, (status, said))
            content = json.dumps(said).encode()
        return web.Response(status=status, body=content, content_type="application/json")
