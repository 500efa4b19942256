"""Servers that notify unasked, and clients that listen to them through the gateway."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.tuning import Tuning
from tests.downstream.conftest import HANDSHAKE, Connect, Era
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

NOTIFYING_SERVER = Path(__file__).parent / "notifying_server.py"
TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
RESOURCES = "notifications/resources/list_changed"
UPDATED = "notifications/resources/updated"
_METHODS = {
    "ToolsListChanged": TOOLS,
    "PromptsListChanged": PROMPTS,
    "ResourcesListChanged": RESOURCES,
    "ResourceUpdated": UPDATED,
}


@dataclass(frozen=True, slots=True)
class NotifyingServer:
    """A server that was added and synced; its lists are in a file that a test may write."""

    gateway: RunningGateway
    id: int
    slug: str
    era: Era
    listed: Path
    log: Path

    def set_lists(self, **what: Any) -> None:
        """From now on it lists these."""
        listed = json.loads(self.listed.read_text()) if self.listed.exists() else {}
        beside = self.listed.with_suffix(".new")
        beside.write_text(json.dumps({**listed, **what}))
        os.replace(beside, self.listed)

    def log_of(self, what: str) -> list[int]:
        """The processes that have logged it, in order."""
        lines = [line.partition(" ") for line in self.log.read_text().splitlines()]
        return [int(pid) for pid, _, logged in lines if logged == what]

    async def wait_for_log(self, what: str, times: int = 1) -> None:
        """Wait until it was logged so often."""
        await until(lambda: len(self.log_of(what)) >= times)

    async def notify(self, method: str, key: str | None = None, **params: Any) -> int:
        """Have it send a notification; returns to how many it did."""
        arguments = {"method": method, "params": params}
        headers = {"X-API-Key": key} if key is not None else {}
        call = {"name": f"{self.slug}__say", "arguments": arguments}
        answer = await self.gateway.request("tools/call", call, **headers)
        return int(answer["result"]["content"][0]["text"])

    async def notify_updated(self, uri: str, key: str | None = None) -> int:
        return await self.notify(UPDATED, key, uri=uri)

    async def crash(self) -> None:
        assert (await self.gateway.call(f"{self.slug}__die"))["isError"]


async def add_notifying_server(
    gateway: RunningGateway,
    folder: Path,
    era: Era,
    name: str = "Notifier",
    tuning: Tuning | None = None,
    **lists: Sequence[Any],
) -> NotifyingServer:
    """Add a server that lists one resource `note://{name}/a` unless told otherwise, and sync it."""
    listed, log = folder / f"{name}.json", folder / f"{name}.log"
    slug = name.lower()
    arguments = ("-I", "-S", str(NOTIFYING_SERVER), era, str(listed), str(log))
    new = ServerDefinition(name, "stdio", command=sys.executable, args=arguments)
    server_id = await gateway.parts.servers.add(1, new)
    server = NotifyingServer(gateway, server_id, slug, era, listed, log)
    server.set_lists(**{"resources": [{"uri": f"note://{name}/a", "name": "a"}], **lists})
    await gateway.parts.sync.run(1, server_id)
    if tuning is not None:
        await gateway.parts.servers.set_tuning(1, server_id, tuning)
    return server


class ReceivedNotifications:
    """What a client was told, in order: the method, and the address of an updated resource."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str | None]] = []

    def add(self, method: str, uri: str | None = None) -> None:
        self.all.append((method, uri))

    def count(self, method: str, uri: str | None = None) -> int:
        return sum(each == method and uri in (None, updated) for each, updated in self.all)

    async def wait(self, method: str, uri: str | None = None, times: int = 1) -> None:
        await until(lambda: self.count(method, uri) >= times)


@dataclass(frozen=True, slots=True)
class ListeningClient:
    """A client that listens in the way of its era."""

    client: Client
    received: ReceivedNotifications


@contextlib.asynccontextmanager
async def listening(connect: Connect, mode: str, *uris: str, key: str | None = None) -> AsyncIterator[ListeningClient]:
    """A client that hears of changed lists, and of updates of `uris`."""
    received = ReceivedNotifications()
    stream_opened = anyio.Event()

    async def note_stream(response: httpx2.Response) -> None:
        if response.request.method == "GET":
            stream_opened.set()

    async def handle(message: Any) -> None:
        if mode != HANDSHAKE:
            # It comes as an event, too.
            return
        uri = getattr(getattr(message, "params", None), "uri", None)
        received.add(getattr(message, "method", ""), None if uri is None else str(uri))

    async with connect(mode, key, on_response=note_stream, message_handler=handle) as client:
        if mode == HANDSHAKE:
            # The stream on which a session hears is opened beside the first requests.
            await client.list_tools()
            with anyio.fail_after(15):
                await stream_opened.wait()
            for uri in uris:
                await subscribe(client, uri)
            yield ListeningClient(client, received)
            return
        wanted: dict[str, Any] = {f"{kind}_list_changed": True for kind in ("tools", "prompts", "resources")}
        async with (
            client.listen(**wanted, resource_subscriptions=list(uris)) as events,
            anyio.create_task_group() as tasks,
        ):

            async def follow() -> None:
                async for event in events:
                    received.add(_METHODS[type(event).__name__], getattr(event, "uri", None))

            tasks.start_soon(follow)
            yield ListeningClient(client, received)
            tasks.cancel_scope.cancel()


async def subscribe(client: Client, uri: str) -> None:
    """Subscribe in a handshake session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        await client.session.subscribe_resource(uri)


async def unsubscribe(client: Client, uri: str) -> None:
    """The opposite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        await client.session.unsubscribe_resource(uri)
