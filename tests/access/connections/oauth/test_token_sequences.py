"""Sequences of what befalls the tokens of two persons: no request ever carries what is another person's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio.from_thread
import anyio.to_thread
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gateway.access.caller import Caller
from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.connections import Connections
from gateway.access.connections.oauth.token_sources import TokenSources
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.persons import Persons
from gateway.errors import ConnectionNeededError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.access.connections.oauth.conftest import ISSUER, SignInWorld

T = TypeVar("T")

SEARCH = settings(
    max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
WHO = st.sampled_from(["ada", "ben"])
CALL = UpstreamRequest("tools/call", {"name": "secret", "arguments": {}})


class Process:
    """One gateway process as far as tokens go: its caches, its requests for tokens, and its sessions."""

    def __init__(self, world: SignInWorld, pool: UpstreamPool) -> None:
        parts = world.parts
        persons = Persons(parts.database, parts.notices)
        # Without notices it keeps nothing, or a withdrawal would be heard later than the next step.
        connections = Connections(parts.database, parts.vault)
        self.sources = TokenSources(
            parts.database, parts.vault, persons, connections, parts.settings, world.spec.policy
        )
        self.requests = CallerRequests(pool, PersonalCredentials(persons, connections, self.sources.by_kind))
        self.pool = pool


class Sequence(RuleBasedStateMachine):
    """Two processes, two persons, one server that issues tokens and says of each call whose it was."""

    def __init__(self, world: SignInWorld, processes: list[Process]) -> None:
        super().__init__()
        self._world = world
        self._processes = processes
        # Whether a person has connected, and the server still takes what that gave.
        self._connected: set[str] = set()
        self._revoked: set[str] = set()
        self._run(self._begin)

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return anyio.from_thread.run(work, *arguments)

    async def _begin(self) -> None:
        oauth = self._world.oauth
        for kept in (oauth.access_tokens, oauth.refresh_tokens, oauth.people, oauth.callers):
            kept.clear()
        for name in ("ada", "ben"):
            connection = await self._world.parts.connections.load((await self._world.at(name)).connection_key)
            if connection is not None:
                await self._world.parts.connections.end(connection)

    @rule(who=WHO, process=st.integers(0, 1), seconds=st.sampled_from([0, 1, 50, 3600]))
    def sign_in(self, who: str, process: int, seconds: int) -> None:
        """Tokens last so long from now on; 0 is for ever, as far as is said."""
        self._world.oauth.expires_in = seconds
        self._run(self._sign_in, who, process)
        self._connected.add(who)
        self._revoked.discard(who)

    async def _sign_in(self, who: str, process: int) -> None:
        answer = await self._world.send_away(who)
        source = self._processes[process].sources.sign_in
        finished = await source.finish(answer["state"], answer["code"], "what only this browser has", answer["iss"])
        assert finished is not None

    @rule(who=WHO, process=st.integers(0, 1))
    def call(self, who: str, process: int) -> None:
        """It is made as who makes it, or not at all."""
        said = self._run(self._call, who, process)
        if who in self._connected and who not in self._revoked:
            assert said == who
        else:
            assert said is None
            self._connected.discard(who)

    async def _call(self, who: str, process: int) -> str | None:
        caller = Caller(1, 0, who, (), subject=who, issuer=ISSUER)
        before = len(self._world.oauth.callers)
        try:
            await self._processes[process].requests.request(caller, self._world.spec, CALL)
        except ConnectionNeededError:
            assert len(self._world.oauth.callers) == before
            return None
        assert len(self._world.oauth.callers) == before + 1
        return self._world.oauth.callers[-1]

    @rule(who=WHO)
    def expire(self, who: str) -> None:
        """The server takes the access tokens of a person no longer; refresh tokens are good."""
        theirs = {token for token, person in self._world.oauth.people.items() if person == who}
        self._world.oauth.access_tokens -= theirs

    @rule(who=WHO)
    def revoke(self, who: str) -> None:
        """The person takes everything back at the provider."""
        self.expire(who)
        for token in [token for token, person in self._world.oauth.people.items() if person == who]:
            self._world.oauth.refresh_tokens.pop(token, None)
        self._revoked.add(who)

    @rule(who=WHO, process=st.integers(0, 1))
    def disconnect(self, who: str, process: int) -> None:
        """On the page: tokens are given back, and the connection ends."""
        if who in self._connected:
            self._run(self._disconnect, who, process)
            self._connected.discard(who)

    async def _disconnect(self, who: str, process: int) -> None:
        at = await self._world.at(who)
        await self._processes[process].sources.sign_in.revoke(at)
        connection = await self._world.parts.connections.load(at.connection_key)
        if connection is not None:
            # One before it, that the person has replaced, is not: many a provider takes all back with it.
            assert connection.secret["grant"]["refresh_token"] not in self._world.oauth.refresh_tokens
            await self._world.parts.connections.end(connection)

    @rule(process=st.integers(0, 1))
    def restart(self, process: int) -> None:
        """A process ends all sessions and forgets what it knew."""
        self._run(self._restart, process)

    async def _restart(self, process: int) -> None:
        old = self._processes[process]
        await old.sources.aclose()
        await old.pool.close_server(self._world.spec.id)
        self._processes[process] = Process(self._world, old.pool)


async def test_no_request_carries_what_is_another_persons_whatever_befalls_tokens(world: SignInWorld) -> None:
    async with UpstreamPool(UpstreamSettings()) as first, UpstreamPool(UpstreamSettings()) as second:
        processes = [Process(world, first), Process(world, second)]

        class SequenceOfWorld(Sequence):
            def __init__(self) -> None:
                super().__init__(world, processes)

        await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(SequenceOfWorld, settings=SEARCH))
        for process in processes:
            await process.sources.aclose()
