"""A process of a simulated cluster: the real membership, hop, owners, pool and forwarder, over fake servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send

from gateway.cluster.cluster import Cluster
from gateway.cluster.http_forwarder import HttpForwarder
from gateway.cluster.leader_task import LeaderTask
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.signed_channel import HopKey
from gateway.cluster.member import holder_of, id_held_by
from gateway.cluster.membership import Membership
from gateway.cluster.server_owners import ServerOwners
from gateway.cluster.upstreams.cluster_pool import ClusterPool
from gateway.downstream.changes.list_leases import LEASE_SECONDS, ListLeases
from gateway.downstream.protocol.sessions.remote.leased_lists import LeasedLists
from gateway.downstream.protocol.sessions.remote.remote_sessions import RemoteSessions
from gateway.downstream.protocol.sessions.remote.session_announcer import SessionAnnouncer
from gateway.downstream.protocol.sessions.remote.session_facts import SessionFacts
from gateway.errors import DatabaseUnavailableError, ModelGateError, UpstreamUnavailableError
from gateway.settings import UpstreamSettings
from gateway.telemetry.tracing import Tracing
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.request import CallHooks, UpstreamRequest
from gateway.upstream.server import UpstreamServer
from gateway.upstream.spec import ServerSpec
from gateway.upstream.status import ServerStatus
from tests.cluster.simulated_world import Host, SimulatedDatabase, SimulatedNetwork, SimulatedStore, pause

TENANT = 1
KEY = HopKey.of(b"of the simulation")
_numbers = itertools.count(1)


async def _say_nothing(session: str, method: str, params: dict[str, Any]) -> None: ...


class World:
    """All that processes share, and what has been seen of them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.database = SimulatedDatabase(chance)
        self.network = SimulatedNetwork(chance)
        self.specs = {
            number: ServerSpec(number, 1, f"server {number}", f"s{number}", "stdio") for number in range(1, 6)
        }
        self.executed: dict[str, int] = {}
        self.running: dict[int, set[Node]] = {number: set() for number in self.specs}
        self.catalogue = 0
        self.violations: list[str] = []


class _FakeServer:
    """Runs what it is asked, which takes a while, and says in the world that it did."""

    info = None

    def __init__(self, node: Node, spec: ServerSpec) -> None:
        self.spec = spec
        self.listing_notes: dict[str, str] = {}
        self._node = node
        self._is_closed = False

    async def request(self, request: UpstreamRequest) -> dict[str, Any]:
        node, world = self._node, self._node.world
        await node.host.run()
        if self._is_closed:
            raise UpstreamUnavailableError(self.spec.name, "It was closed.")
        others = [other for other in world.running[self.spec.id] - {node} if other.may_run]
        if others and node.may_run:
            world.violations.append(f"{self.spec.name} runs at {node.name} and at {[each.name for each in others]}")
        world.running[self.spec.id].add(node)
        name = str((request.params or {})["name"])
        await asyncio.sleep(world.chance.choice((0.0, 0.001, 0.05, 1.0)))
        await node.host.run()
        if node.host.is_dead:
            raise asyncio.CancelledError
        if self._is_closed:
            raise UpstreamUnavailableError(self.spec.name, "It was closed.")
        world.executed[name] = world.executed.get(name, 0) + 1
        if request.hooks.on_server_request is not None:
            return await request.hooks.on_server_request("elicitation/create", {"name": name})
        return {"name": name}

    async def list_all(self, method: str, key: str) -> list[Any]:
        return [self.spec.name]

    async def check(self, _: float) -> None:
        await self._node.host.run()

    def status(self) -> ServerStatus:
        return ServerStatus("connected")

    async def close(self) -> None:
        self._is_closed = True
        self._node.world.running[self.spec.id].discard(self._node)

    async def close_session(self, _: str) -> None: ...

    def drain(self) -> None: ...


class SimulatedPool(ClusterPool):
    """The pool over fake servers."""

    node: Node

    def _server(self, spec: ServerSpec) -> UpstreamServer:
        if spec.id not in self._servers:
            self._servers[spec.id] = cast(UpstreamServer, _FakeServer(self.node, spec))
        return self._servers[spec.id]


class Node:
    """One process, from its start to its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        number = next(_numbers)
        self.name = f"node {number}"
        self.host = Host(f"host:{number}")
        self.host.thawed.set()
        hop = Hop(lambda: [KEY], lambda: self.membership.id, world.network.connector(self.host))
        self.host.accept = hop.accept
        store = SimulatedStore(world.database, self.host)
        self.membership = Membership(store, lambda: [KEY.id], self.host.address, hop.is_reachable)
        forwarder = HttpForwarder(hop, self.membership)
        forwarder.serve_with(self._answer)
        owners = ServerOwners(self.membership, store)
        self.cluster = Cluster(self.membership, hop, owners, forwarder, cast(Any, None))
        self.pool = SimulatedPool(
            UpstreamSettings(),
            self.cluster,
            self._read_spec,
            UpstreamNotifications(),
            UpstreamNotifications(),
            {},
            cast(Any, None),
            Tracing(),
        )
        self.pool.node = self
        self.sessions: set[str] = set()
        self.announcer = SessionAnnouncer(hop, self._read_facts, _say_nothing)
        # Longer than anything else takes, so that it is what is told that has to keep it right.
        self.known = RemoteSessions(hop, self.membership, 1_000.0)
        self.leases = ListLeases(hop)
        self.leased = LeasedLists(hop, self.membership, self._catch_up)
        # What it lists, and the least that clients of its sessions have been told of.
        self.listed = world.catalogue
        self.told = 0
        self.answered_for_others = 0
        self.listed_for_others = 0
        self.leads = False
        self._stopping = asyncio.Event()
        self.is_ready = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        world.network.hosts[self.host.address] = self.host

    @property
    def may_run(self) -> bool:
        """Whether the process counts as one that has servers: it lives, stays, and is not taken for dead."""
        host, membership = self.host, self.membership
        alive = not host.is_dead and host.thawed.is_set() and not membership.is_leaving
        return alive and membership.id in self.world.database.rows

    @property
    def is_whole(self) -> bool:
        """Whether nothing keeps the process from its work."""
        return self.may_run and self.host.reaches_database and self.is_ready.is_set()

    async def call(self, server_id: int, *, asks: bool = False) -> str:
        """One call of a server: "ok", or why it failed. What comes back has to be its own."""
        name = f"call {next(_numbers)}"

        async def answer(_: str, params: dict[str, Any]) -> dict[str, Any]:
            return params

        request = UpstreamRequest(
            "tools/call", {"name": name}, hooks=CallHooks(on_server_request=answer if asks else None)
        )
        try:
            result = await self.pool.request(self.world.specs[server_id], request)
        except ModelGateError as error:
            executed = self.world.executed.get(name, 0)
            if executed > 1 or (executed and "may have been done" not in error.message):
                self.world.violations.append(f"{name} failed with {error.message!r}, and was done {executed} times")
            return error.message
        if result != {"name": name} or self.world.executed.get(name) != 1:
            self.world.violations.append(f"{name} gave {result}, done {self.world.executed.get(name)} times")
        return "ok"

    def open_session(self) -> str:
        session = id_held_by(self.membership.id, str(next(_numbers)))
        self.sessions.add(session)
        return session

    def end_session(self, session: str) -> None:
        self.sessions.discard(session)
        self.announcer.announce_changed(session)

    async def request_in(self, session: str) -> int:
        """The status of a request in a session that any process may hold."""
        if self.known.get(session) is not None:
            self.answered_for_others += 1
            return 200
        return (await self._ask_holder(session))[0]

    async def list_in(self, session: str) -> int | None:
        """What a client is listed in a session that any process may hold, None where nothing is."""
        if self.known.get(session) is not None and self.leased.may_answer(session, TENANT):
            self.listed_for_others += 1
            return self.listed
        status, listed = await self._ask_holder(session)
        return listed if status == 200 else None

    async def tell(self) -> None:
        """Tell the clients of the sessions here that there is something else to be listed, which this process lists."""
        listed, began_at = self.listed, asyncio.get_running_loop().time()
        await self.leases.end(TENANT)
        if (took := asyncio.get_running_loop().time() - began_at) > LEASE_SECONDS:
            self.world.violations.append(f"{self.name} has kept a change to itself for {took} s")
        await self.host.run()
        self.told = max(self.told, listed)

    async def _catch_up(self, _: int) -> None:
        await pause(self.world.database, self.host)
        listed = self.world.catalogue
        await pause(self.world.database, self.host)
        self.listed = max(self.listed, listed)

    async def _ask_holder(self, session: str) -> tuple[int, int]:
        """The status of a request in a session, which its holder gets, and what is listed there."""
        statuses: list[int] = []
        listed = b""

        async def send(message: Message) -> None:
            nonlocal listed
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            else:
                listed += message.get("body", b"")

        body: list[Message] = [{"type": "http.request", "body": session.encode(), "more_body": False}]

        async def receive() -> Message:
            if body:
                return body.pop()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        scope: Scope = {"type": "http", "method": "POST", "path": f"/{session}", "headers": []}
        holder = holder_of(session)
        if holder in (None, self.membership.id) or not await self.cluster.forwarder.forward(
            str(holder), scope, receive, send
        ):
            await self._answer(scope, receive, send)
        else:
            self.known.learn(session)
        return statuses[0], int(listed) if statuses[0] == 200 else 0

    async def _read_spec(self, _: int, server_id: int) -> ServerSpec:
        if not self.host.reaches_database or not self.world.database.is_up:
            raise DatabaseUnavailableError
        return self.world.specs[server_id]

    def _read_facts(self, session: str) -> SessionFacts | None:
        known = session in self.sessions and holder_of(session) == self.membership.id
        return SessionFacts(session, "key-1", (1,), None, {}) if known else None

    async def stop(self) -> None:
        """As a signal does it."""
        await self.membership.leave()
        self._stopping.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.host.is_dead = True

    async def kill(self) -> None:
        """At once, and without a word."""
        self.host.is_dead = True
        self.host.thaw()
        for session in [each for each in self.world.database.sessions if each._host is self.host]:
            self.world.database.end(session)
        self.world.network.cut(self.host.address)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for running in self.world.running.values():
            running.discard(self)

    async def _run(self) -> None:
        leading = LeaderTask(self.membership, self._lead)
        async with self.pool, self.cluster.hop.running():
            try:
                async with self.membership.running():
                    self.is_ready.set()
                    task = asyncio.create_task(leading.run())
                    await self._stopping.wait()
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            except ModelGateError:
                # It does not start without a database; whoever watches over it starts another.
                self.host.is_dead = True
            finally:
                await self.known.aclose()
                await self.leased.aclose()

    async def _lead(self) -> None:
        self.leads = True
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.leads = False

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["path"].removeprefix("/")
        body = (await receive()).get("body", b"")
        known = session in self.sessions and holder_of(session) == self.membership.id and body == session.encode()
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
        await send({"type": "http.response.body", "body": str(self.listed).encode(), "more_body": False})
