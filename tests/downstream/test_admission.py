"""Which requests begin when there are many, and which are refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import anyio.lowlevel
import httpx2
import pytest

from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant
from gateway.downstream.admission import AdmissionControl, AdmittedRequest
from gateway.errors import LimitError, OverloadedError
from gateway.settings import Settings
from tests.downstream.conftest import AddTalker
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

GREEDY, MODEST = 1, 2


async def begin(admission: AdmissionControl, tenant: int, count: int) -> list[asyncio.Task[AdmittedRequest]]:
    """So many requests of a tenant at the same time; those that need not wait have begun."""
    tasks = [asyncio.create_task(admission.admit(tenant)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def leave(tasks: list[asyncio.Task[AdmittedRequest]]) -> None:
    for task in tasks:
        with task.result():
            pass


async def test_a_tenant_that_is_alone_waits_for_nothing() -> None:
    admission = AdmissionControl(1000)
    tasks = await begin(admission, GREEDY, 500)
    assert all(task.done() for task in tasks)
    assert (admission.running, admission.waiting) == (500, 0)
    leave(tasks)
    assert admission.running == 0


async def test_one_that_has_far_more_under_way_waits_and_the_other_does_not() -> None:
    admission = AdmissionControl(1000)
    (modest,) = await begin(admission, MODEST, 1)
    greedy = await begin(admission, GREEDY, 50)
    assert modest.done()
    assert sum(task.done() for task in greedy) == 2
    (more,) = await begin(admission, MODEST, 1)
    assert more.done()
    # In time they all begin, though the other stays.
    with anyio.fail_after(10):
        await asyncio.gather(*greedy)


async def test_one_that_has_a_few_too_many_keeps_as_many_running_as_one_that_has_not() -> None:
    admission = AdmissionControl(1000)
    modest = await begin(admission, MODEST, 1)
    tasks = await begin(admission, GREEDY, 8)
    while not all(task.done() for task in tasks):
        running, waiting = [task for task in tasks if task.done()], [task for task in tasks if not task.done()]
        assert len(running) >= 2
        leave(running)
        # At once, not with a turn: each that ends makes room for one.
        assert admission.running >= 1 + min(2, len(waiting))
        await asyncio.sleep(0)
        tasks = waiting
    leave(tasks + modest)
    assert (admission.running, admission.waiting, admission.refused) == (0, 0, 0)


async def test_nobody_is_refused_among_many_tenants_while_there_is_room() -> None:
    admission = AdmissionControl(4_000)
    others = [task for tenant in range(2, 1002) for task in await begin(admission, tenant, 1)]
    few = await begin(admission, GREEDY, 1_000)
    with anyio.fail_after(30):
        await asyncio.gather(*few)
    assert admission.refused == 0
    leave(few + others)


async def test_a_burst_gets_no_turns_for_what_another_has_begun_before_anybody_waited() -> None:
    admission = AdmissionControl(1000)
    for _ in range(500):
        leave(await begin(admission, MODEST, 1))
    (modest,) = await begin(admission, MODEST, 1)
    greedy = await begin(admission, GREEDY, 300)
    assert (admission.running, modest.done()) == (3, True)
    with anyio.fail_after(10):
        while admission.running == 3:
            await anyio.lowlevel.checkpoint()
    assert admission.running == 4
    with anyio.fail_after(10):
        await asyncio.gather(*greedy)


async def test_those_that_ask_for_as_much_as_each_other_begin_at_once() -> None:
    admission = AdmissionControl(1000)
    tasks = [task for _ in range(20) for tenant in (1, 2, 3) for task in await begin(admission, tenant, 1)]
    assert all(task.done() for task in tasks)


async def test_of_many_tenants_one_that_has_far_more_under_way_waits_until_the_others_are_gone_for_a_while() -> None:
    admission = AdmissionControl(10_000)
    for tenant in range(2, 1002):
        leave(await begin(admission, tenant, 1))
    greedy = await begin(admission, GREEDY, 2_000)
    assert sum(task.done() for task in greedy) == 2
    with anyio.fail_after(30):
        await asyncio.gather(*greedy)
    leave(greedy)
    assert (admission.running, admission.waiting, admission.refused) == (0, 0, 0)


async def test_when_the_others_have_left_all_that_waits_begins() -> None:
    admission = AdmissionControl(1000)
    modest = await begin(admission, MODEST, 1)
    greedy = await begin(admission, GREEDY, 300)
    leave(modest)
    assert not all(task.done() for task in greedy)
    with anyio.fail_after(10):
        await asyncio.gather(*greedy)
    leave(greedy)
    assert (admission.running, admission.waiting, admission.refused) == (0, 0, 0)


async def test_one_that_leaves_while_it_waits_takes_no_place() -> None:
    admission = AdmissionControl(1000)
    modest = await begin(admission, MODEST, 1)
    greedy = await begin(admission, GREEDY, 10)
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)
    leave([task for task in greedy if not task.cancelled()])
    leave(modest)
    assert (admission.running, admission.waiting, admission.refused) == (0, 0, 0)


async def test_there_is_an_end_to_what_may_be_under_way_and_a_tenant_leaves_room_for_others() -> None:
    admission = AdmissionControl(8)
    greedy = await begin(admission, GREEDY, 6)
    with pytest.raises(LimitError, match="6 requests of this tenant are under way"):
        await admission.admit(GREEDY)
    modest = await begin(admission, MODEST, 2)
    with pytest.raises(OverloadedError):
        await admission.admit(MODEST)
    assert admission.refused == 2
    leave(greedy)
    leave(modest + await begin(admission, GREEDY, 1))


class TestFew:
    """With a gateway that takes four requests at a time."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, server=replace(settings.server, max_requests=4))

    async def test_what_is_too_much_is_refused_at_once_and_costs_another_tenant_nothing(
        self, gateway: RunningGateway, add_talker: AddTalker
    ) -> None:
        talker = await add_talker()
        other_id = (await create_tenant(gateway.parts.database, "other", "Other")).id
        await create_role(gateway.parts.database, other_id, "all")
        other = (await gateway.parts.keys.create(other_id, "other", ["all"])).key
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "talker__hang"}}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        hanging = [asyncio.create_task(gateway.post(call)) for _ in range(3)]
        await until(lambda: talker.log.exists() and talker.log.read_text().count("hanging") == 3)
        refused: httpx2.Response = await gateway.post(ping)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["data"] == {"limit": "requests_at_once", "retryAfter": 1}
        assert (await gateway.post(ping, **{"X-API-Key": other})).status_code == 200
        metrics = (await gateway.http.get("/metrics")).text
        assert "modelgate_requests_waiting 0.0" in metrics
        assert "modelgate_requests_refused_total 1.0" in metrics
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await until(lambda: talker.log.read_text().count("cancelled") == 3)
        assert (await gateway.post(ping)).status_code == 200
