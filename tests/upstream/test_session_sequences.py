"""Sequences of what befalls a session: a healthy server's call succeeds, and an ill one never says "connected"."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from starlette.responses import PlainTextResponse, Response

from gateway.errors import UpstreamError
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.support.thoroughness import cases
from tests.upstream.conftest import serving, web
from tests.upstream.processes import until
from tests.upstream.servers.forgetful import Dress, Forgetful
from tests.upstream.test_lost_sessions import DRESSES

T = TypeVar("T")

SEARCH = settings(
    max_examples=cases(10, 30),
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
STREAMS: st.SearchStrategy[list[Response]] = st.sampled_from(
    [
        [Response(status_code=405)],
        [Response(status_code=404)],
        [Response("", media_type="text/event-stream")],
        [Response("id: 1\nretry: 10\ndata:\n\n", media_type="text/event-stream"), Response(status_code=404)],
        [PlainTextResponse("hello")],
    ]
)


class Befallings(RuleBasedStateMachine):
    """One server, whose truth the machine knows, and what the pool makes of it."""

    def __init__(self, pool: UpstreamPool, spec: ServerSpec, server: Forgetful) -> None:
        super().__init__()
        self._pool = pool
        self._spec = spec
        self._server = server
        self._run(self._begin)

    def _run(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return anyio.from_thread.run(work, *arguments)

    async def _begin(self) -> None:
        await self._pool.close_server(self._spec.id)
        self._server.restart()
        self._server.ill, self._server.dress, self._server.refuses_pings = "", Dress(404), False
        self._server.streams = [Response(status_code=405)]

    async def _call(self) -> None:
        # A server that was ill is left alone for a while, which is no failure of its calls.
        await until(lambda: self._pool.status(self._spec.id).state != "left_alone")
        before = self._server.executed
        await self._pool.request(self._spec, UpstreamRequest("tools/call", {"name": "count", "arguments": {}}))
        assert self._server.executed == before + 1

    async def _state_after_check(self) -> str:
        return (await self._pool.check(self._spec)).state

    @rule()
    @precondition(lambda self: not self._server.ill)
    def call(self) -> None:
        self._run(self._call)
        assert self._pool.status(self._spec.id).state == "connected"

    @rule()
    @precondition(lambda self: self._server.ill)
    def call_in_vain(self) -> None:
        with pytest.raises(UpstreamError):
            self._run(self._call)

    @rule()
    def check(self) -> None:
        state = self._run(self._state_after_check)
        assert (state == "connected") <= (not self._server.ill)

    @rule()
    @precondition(lambda self: not self._server.ill)
    def two_checks_of_a_healthy_server(self) -> None:
        async def settle() -> str:
            await until(lambda: self._pool.status(self._spec.id).state != "left_alone")
            await self._pool.check(self._spec)
            return await self._state_after_check()

        assert self._run(settle) == "connected"

    @rule(dress=st.sampled_from(list(DRESSES.values())))
    def restart(self, dress: Dress) -> None:
        self._server.dress = dress
        self._server.restart()

    @rule(ill=st.sampled_from(["refuses", "hangs"]))
    def fall_ill(self, ill: Literal["refuses", "hangs"]) -> None:
        self._server.ill = ill

    @rule()
    def recover(self) -> None:
        self._server.ill = ""

    @rule()
    def refuse_pings(self) -> None:
        self._server.refuses_pings = not self._server.refuses_pings

    @rule(streams=STREAMS)
    def stream(self, streams: list[Response]) -> None:
        self._server.streams = list(streams)


async def test_no_sequence_makes_a_healthy_server_fail_or_an_ill_one_look_well() -> None:
    server = Forgetful(Dress(404))
    limits = UpstreamSettings(pause_seconds=0.1, failures_before_pause=3)
    async with serving(server.app) as root, UpstreamPool(limits) as pool:
        spec = web(f"{root}/mcp", connect_timeout=1.5, call_timeout=1.5, list_timeout=1.5)

        class BefallingsOfServer(Befallings):
            def __init__(self) -> None:
                super().__init__(pool, spec, server)

        await anyio.to_thread.run_sync(lambda: run_state_machine_as_test(BefallingsOfServer, settings=SEARCH))
