"""A webhook of the test's own, over a socket: it checks signatures and answers as it is told to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import open_port, serving_at

SECRET = "whsec_" + base64.b64encode(b"a secret of the test").decode()


class Judge:
    """`answer` is what it says: JSON, bytes as they are, or a status; None never answers."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Any = {"verdict": "allow"}
        self.asked: list[dict[str, Any]] = []
        self.clients: set[Any] = set()
        self.released = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Judge]:
        app = Starlette(routes=[Route("/judge", self._judge, methods=["POST"])])
        with open_port() as (listening, url):
            self.url = f"{url}/judge"
            async with serving_at(listening, app, shutdown_seconds=1):
                try:
                    yield self
                finally:
                    self.released.set()

    async def _judge(self, request: Request) -> Response:
        body = await request.body()
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != f"v1,{expected}":
            return Response(status_code=401)
        self.asked.append(json.loads(body))
        self.clients.add(request.client)
        if self.answer is None:
            await self.released.wait()
        if isinstance(self.answer, int):
            return Response(status_code=self.answer)
        content = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return Response(content, media_type="application/json", headers={"set-cookie": "a=b"})
