"""Two gateways on one database, and a way to reach them without a preference, as through a load balancer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.cluster.cluster import Cluster
from gateway.cluster.http_forwarder import HttpForwarder
from gateway.components import open_components
from gateway.settings import Settings
from tests.downstream.conftest import TALKER, Era, OnResponse, Talker
from tests.downstream.protocol.sessions.test_client_sessions import PING, opened
from tests.downstream.protocol.sessions.test_session_requests import VERSION
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import until


class RoundRobin(httpx2.AsyncBaseTransport):
    """Sends each request to another gateway than the one before."""

    def __init__(self, urls: list[str]) -> None:
        self._urls: Iterator[str] = cycle(urls)
        self._transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        to = httpx2.URL(next(self._urls))
        request.url = request.url.copy_with(host=to.host, port=to.port)
        request.headers["host"] = f"{to.host}:{to.port}"
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways that know of each other."""

    first: RunningGateway
    second: RunningGateway
    folder: Path

    @property
    def both(self) -> tuple[RunningGateway, RunningGateway]:
        return self.first, self.second

    async def add_talker(self, name: str = "Talker", era: Era = "handshake") -> Talker:
        log = self.folder / f"{name}.log"
        arguments = ("-I", "-S", str(TALKER), era, name, str(log))
        parts = self.first.parts
        server_id = await parts.servers.add(1, ServerDefinition(name, "stdio", sys.executable, arguments))
        await parts.sync.run(1, server_id)
        return Talker(server_id, name.lower(), log)

    def owner_of(self, talker: Talker) -> RunningGateway:
        return next(each for each in self.both if talker.id in cluster_of(each).owners.owned())

    def other_than(self, gateway: RunningGateway) -> RunningGateway:
        return self.second if gateway is self.first else self.first

    @contextlib.asynccontextmanager
    async def client(
        self, *order: RunningGateway, on_response: OnResponse | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """A client of the SDK whose requests go to the gateways in turn; `on_response` is called with each response
        whose head has come.
        """
        urls = [each.url for each in order or self.both]
        headers = {"Authorization": f"Bearer {self.first.key}"}
        hooks = {"response": [on_response] if on_response is not None else []}
        async with httpx2.AsyncClient(
            transport=RoundRobin(urls), headers=headers, timeout=30, event_hooks=hooks
        ) as http:
            transport = streamable_http_client(f"{urls[0]}/mcp", http_client=http)
            async with Client(transport, cache=None, **options) as client:
                yield client


def cluster_of(gateway: RunningGateway) -> Cluster:
    assert gateway.parts.cluster is not None
    return gateway.parts.cluster


@contextlib.asynccontextmanager
async def joined_gateway(settings: Settings) -> AsyncIterator[RunningGateway]:
    """A gateway that is a member of the cluster."""
    async with (
        open_components(settings, clustered=True) as parts,
        running_gateway(parts) as gateway,
        cluster_of(gateway).running(),
    ):
        yield gateway


@pytest.fixture
async def pair(settings: Settings, tmp_path: Path) -> AsyncIterator[Pair]:
    async with contextlib.AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(joined_gateway(settings)) for _ in range(2)]
        await until(lambda: all(cluster_of(each).membership.others for each in gateways))
        yield Pair(gateways[0], gateways[1], tmp_path)


@dataclass
class Forwarded:
    """The requests that went to another process, with what was said of them."""

    requests: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def forwarded(monkeypatch: pytest.MonkeyPatch) -> Forwarded:
    seen = Forwarded()
    forward = HttpForwarder.forward

    async def noted(self: HttpForwarder, *arguments: Any, **how: Any) -> bool:
        seen.requests.append(how)
        return await forward(self, *arguments, **how)

    monkeypatch.setattr(HttpForwarder, "forward", noted)
    return seen


async def opened_elsewhere(pair: Pair, forwarded: Forwarded) -> tuple[RunningGateway, RunningGateway, dict[str, str]]:
    """The holder of a session, another process that knows of it, and the headers of a request in it."""
    holder, other = pair.both
    headers = {**await opened(holder), **VERSION, "X-API-Key": holder.key}

    async def is_known() -> bool:
        forwarded.requests.clear()
        assert (await other.post(PING, **headers)).status_code == 200
        return not forwarded.requests

    await until(is_known)
    return holder, other, headers
