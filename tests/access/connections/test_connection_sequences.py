"""Sequences of what befalls the connections of two persons: no request ever carries what is another person's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.connections import Connections
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.connections.secret import SecretSource
from gateway.access.connections.session_revocation import SessionRevocation
from gateway.access.persons import Persons
from gateway.errors import ConnectionNeededError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.access.connections.conftest import PersonalWorld, Somebody

T = TypeVar("T")

SEARCH = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
WHO = st.sampled_from(["ann", "ben"])
CALL = {"name": "whoami", "arguments": {}}


class Process:
    """One gateway process as far as connections go: its caches, its sessions and what ends these."""

    def __init__(self, world: PersonalWorld, pool: UpstreamPool) -> None:
        parts = world.gateway.parts
        persons = Persons(parts.database, parts.notices)
        connections = Connections(parts.database, parts.vault, parts.notices)
        credentials = PersonalCredentials(persons, connections, {"secret": SecretSource(connections)})
        self.connections = connections
        self.pool = pool
        self.requests = CallerRequests(pool, credentials)
        self.session_revocation = SessionRevocation(connections, pool, parts.notices)


class Sequence(RuleBasedStateMachine):
    """Two processes, two persons, one server: what each has connected is known here, and the server says the rest."""

    def __init__(self, world: PersonalWorld, people: dict[str, Somebody], processes: list[Process]) -> None:
        super().__init__()
        self._world = world
        self._people = people
        self._processes = processes
        self._tokens: dict[str, str] = {}
        self._count = 0
        self._run(self._begin)

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return anyio.from_thread.run(work, *arguments)

    async def _begin(self) -> None:
        for somebody in self._people.values():
            if await self._connection(somebody) is not None:
                await self._world.gateway.parts.connections.disconnect(
                    self._world.tenant_id, somebody.person.id, self._world.server_id
                )
        self._world.server.seen.clear()
        self._world.server.persons.clear()
        for process in self._processes:
            await process.session_revocation.end_sessions()

    async def _connection(self, somebody: Somebody) -> object:
        return await self._world.gateway.parts.connections.load(
            (self._world.tenant_id, somebody.person.id, self._world.server_id)
        )

    @rule(who=WHO)
    def connect(self, who: str) -> None:
        """With another token than ever before."""
        self._count += 1
        self._tokens[who] = f"token-{self._count}-of-{who}"
        self._run(self._world.connect, self._people[who], self._tokens[who])

    @rule(who=WHO, process=st.integers(0, 1))
    def call(self, who: str, process: int) -> None:
        """It is made as who makes it, or not at all."""
        said = self._run(self._call, who, process)
        token = self._tokens.get(who)
        if token is None or token not in self._world.server.persons:
            assert said is None
        else:
            assert said == f"whoami as {who}"

    async def _call(self, who: str, process: int) -> str | None:
        parts = self._world.gateway.parts
        caller = await parts.keys.authenticate(self._people[who].key)
        spec: ServerSpec = await parts.servers.spec(self._world.tenant_id, self._world.server_id)
        try:
            result = await self._processes[process].requests.request(
                caller, spec, UpstreamRequest("tools/call", CALL, session_key="client")
            )
        except ConnectionNeededError:
            return None
        text: str = result["content"][0]["text"]
        return text

    @rule(who=WHO)
    def withdraw(self, who: str) -> None:
        """The connection ends, and with it the person's sessions in every process."""
        if self._tokens.pop(who, None) is None:
            return
        self._run(self._withdraw, who)

    async def _withdraw(self, who: str) -> None:
        person = self._people[who].person
        await self._world.gateway.parts.connections.disconnect(self._world.tenant_id, person.id, self._world.server_id)
        for process in self._processes:
            await process.session_revocation.end_sessions()
            ending = f"person-{self._world.tenant_id}-{person.id}-"
            assert not [each for each in process.pool.person_sessions() if each.startswith(ending)]

    @rule(who=WHO)
    def expire(self, who: str) -> None:
        """The server takes the token no longer."""
        self._world.server.persons.pop(self._tokens.get(who, ""), None)

    @rule()
    def forget_sessions(self) -> None:
        """The server is started anew, and knows no session."""
        self._world.server.sessions.clear()

    @rule(process=st.integers(0, 1))
    def restart(self, process: int) -> None:
        """A process ends all sessions and forgets what it knew."""
        self._run(self._restart, process)

    async def _restart(self, process: int) -> None:
        old = self._processes[process]
        await old.pool.close_server(self._world.server_id)
        self._processes[process] = Process(self._world, old.pool)

    def teardown(self) -> None:
        """Whatever happened: a token came in as its own person's alone, in sessions that nobody else had."""
        owners: dict[str, set[str]] = {}
        for request in self._world.server.seen:
            assert request.token != "listing-token" or request.method != "tools/call"
            if request.session:
                owners.setdefault(request.session, set()).add(request.token.rpartition("-")[2])
        assert all(len(who) == 1 for who in owners.values())


async def test_no_request_carries_what_is_another_persons_whatever_befalls_connections(world: PersonalWorld) -> None:
    people = {name: await world.add_somebody(name) for name in ("ann", "ben")}
    async with UpstreamPool(UpstreamSettings()) as first, UpstreamPool(UpstreamSettings()) as second:
        processes = [Process(world, first), Process(world, second)]

        class SequenceOfWorld(Sequence):
            def __init__(self) -> None:
                super().__init__(world, people, processes)

        await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(SequenceOfWorld, settings=SEARCH))
