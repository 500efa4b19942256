"""Connections that go to checked addresses only."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from gateway.errors import UpstreamUnavailableError
from gateway.upstream.http.guarded_backend import guard_connections
from gateway.upstream.policy import DEFAULT_POLICY


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A web server on loopback that gives one answer; its port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            asked.append(await stream.receive())
            await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port), asked
        tasks.cancel_scope.cancel()


def leading(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Have names lead to these addresses, one after the other as they are asked for; the names that were asked for."""
    left = list(addresses)
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def given(*arguments: Any, **named: Any) -> list[Any]:
        host, port = arguments[-2:]
        return await getaddrinfo(host, port)

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", given)
    return asked


async def test_a_name_that_leads_to_a_closed_address_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    leading(monkeypatch, "169.254.169.254")
    async with httpx2.AsyncClient(trust_env=False) as client:
        guard_connections(client, DEFAULT_POLICY, "Docs")
        with pytest.raises(UpstreamUnavailableError, match=r"docs\.example leads to a closed address"):
            await client.get("https://docs.example/mcp")


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, asked):
        names = leading(monkeypatch, "127.0.0.1", "169.254.169.254")
        async with httpx2.AsyncClient(trust_env=False) as client:
            guard_connections(client, DEFAULT_POLICY, "Docs")
            assert (await client.get(f"http://docs.example:{port}/mcp")).text == "hi"
        assert names == ["docs.example"]
        assert b"host: docs.example" in asked[0].lower()


async def test_a_redirect_is_checked_as_any_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
    async with listening(answer) as (port, _), httpx2.AsyncClient(trust_env=False, follow_redirects=True) as client:
        guard_connections(client, DEFAULT_POLICY, "Docs")
        with pytest.raises(UpstreamUnavailableError, match="hand out credentials"):
            await client.get(f"http://127.0.0.1:{port}/mcp")
