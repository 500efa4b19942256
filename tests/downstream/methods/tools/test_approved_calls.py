"""Calls that wait for a person, as clients of every kind see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
import asyncpg
import pytest
from mcp_types import ElicitRequestParams, ElicitResult

from gateway.access.roles import role_by_name, update_role
from gateway.access.rules import set_rule
from gateway.components import Components
from gateway.errors import ConflictError, RequestNotSentError
from gateway.guards.approval.approval_watch import ApprovalSignal
from gateway.guards.approval.call_approval import Approver, CallApproval, Decision
from gateway.guards.rule import GuardRule
from gateway.settings import Settings
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, text_of
from tests.downstream.methods.tasks.test_tasks import modern
from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway
from tests.support.waiting import until

ADA = Approver("ada", "admin")
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cD1fG3iJ5"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A call waits for as long as a test may take."""
    return replace(settings, approval=replace(settings.approval, wait_seconds=20.0))


async def wait_for_approval(gateway: RunningGateway, tool: str = "talker__echo", **rule: Any) -> None:
    role = await role_by_name(gateway.parts.database, 1, "all")
    await set_rule(gateway.parts.database, 1, role.id, "SEARCH", **(rule or {"pattern": tool}), approve="require")


async def asked(gateway: RunningGateway, count: int = 1) -> CallApproval:
    """The newest call that waits, as soon as there are so many."""
    found: list[CallApproval] = []

    async def came() -> bool:
        found[:] = await gateway.parts.approvals.list(1, waiting=True)
        return len(found) == count

    await until(came)
    return found[0]


async def decide(gateway: RunningGateway, decision: Decision = "approved", reason: str = "") -> CallApproval:
    """Decide about the call that waits, once it does."""
    approval = await asked(gateway)
    return await gateway.parts.approvals.decide(1, approval.id, ADA, decision, reason)


def said(result: Mapping[str, Any]) -> Any:
    return json.loads(result["content"][0]["text"])


async def test_a_call_goes_out_once_a_person_has_allowed_it_and_only_once(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    calling = asyncio.create_task(gateway.call("talker__echo", {"amount": 12345678901234567890, "to": "Ada"}))
    approval = await asked(gateway)
    assert (approval.tool_name, approval.asked_by, approval.server_name) == ("talker__echo", "test", "Talker")
    assert await gateway.parts.approvals.arguments(approval) == {"amount": 12345678901234567890, "to": "Ada"}
    # It takes no place among the calls of the server, and no connection to the database.
    assert not any(gateway.parts.pool.calls().values())
    await gateway.parts.approvals.decide(1, approval.id, ADA, "approved")
    assert said(await calling)["params"]["arguments"] == {"amount": 12345678901234567890, "to": "Ada"}

    # The same call again is another, and so is one that differs in a digit.
    again = asyncio.create_task(gateway.call("talker__echo", {"amount": 12345678901234567890, "to": "Ada"}))
    other = asyncio.create_task(gateway.call("talker__echo", {"amount": 12345678901234567891, "to": "Ada"}))
    await asked(gateway, 2)
    for waiting in await gateway.parts.approvals.list(1, waiting=True):
        await gateway.parts.approvals.decide(1, waiting.id, ADA, "denied", "not today")
    for result in (await again, await other):
        assert result["isError"] is True
        assert "ada has denied the call of talker__echo" in result["content"][0]["text"]
        assert "not today" in result["content"][0]["text"]

    calls = await audit_rows(gateway.parts.database, action="tool.call", wanted=3)
    assert sorted(row["outcome"] for row in calls) == ["denied", "denied", "ok"]
    changes = await audit_rows(gateway.parts.database, action="approval.", wanted=7)
    by_whom = {(row["action"], row["actor_kind"]) for row in changes}
    assert ("approval.added", "key") in by_whom
    metrics = (await gateway.http.get("/metrics")).text
    assert 'modelgate_approval_wait_seconds_count{outcome="approved"} 1.0' in metrics
    assert "12345678901234567890" not in str([dict(row) for row in changes])


async def test_two_equal_calls_at_once_take_two_approvals(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    calls = [asyncio.create_task(gateway.call("talker__echo", {"a": 1})) for _ in range(2)]
    first = await asked(gateway)
    await until(lambda: gateway.parts.approval_watch.waiting == 2)
    await gateway.parts.approvals.decide(1, first.id, ADA, "approved")
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    second = await asked(gateway)
    assert second.id != first.id
    await gateway.parts.approvals.decide(1, second.id, ADA, "approved")
    assert [said(await call)["params"]["arguments"] for call in calls] == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_a_client_that_shows_progress_is_told_what_it_waits_for(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with connect(mode) as client:
        calling = asyncio.create_task(client.call_tool("talker__echo", {"a": 1}, progress_callback=hear))
        await until(lambda: bool(heard))
        approval = await decide(gateway)
        assert json.loads(text_of(await calling))["params"]["arguments"] == {"a": 1}
    assert approval.id in str(heard[0])


async def test_a_question_in_an_allowed_call_is_answered_without_another_approval(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect
) -> None:
    for era in ("modern", "handshake"):
        name = f"Asks {era}"
        await add_talker(name, era=era)
    await wait_for_approval(gateway, "asks_*")

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": "red"})

    for mode in (HANDSHAKE, MODERN):
        for era in ("modern", "handshake"):
            async with connect(mode, elicitation_callback=answer) as client:
                calling = asyncio.create_task(client.call_tool(f"asks_{era}__twice", {"from": mode}))
                await decide(gateway)
                assert "red" in text_of(await calling), (mode, era)
    # With the state of a call that was let through, other arguments do not go out.
    params = {"name": "asks_modern__twice", "arguments": {"from": "elsewhere"}, "requestState": "state-1"}
    calling = asyncio.create_task(gateway.request("tools/call", params))
    await decide(gateway, "denied")
    assert "denied" in str(await calling)


async def test_a_call_whose_tool_or_rules_changed_meanwhile_does_not_go_out(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    await wait_for_approval(gateway)
    calling = asyncio.create_task(gateway.call("talker__echo", {"a": 1}))
    await asked(gateway)
    await wait_for_approval(gateway, pattern="talker__*")
    role = await role_by_name(gateway.parts.database, 1, "all")
    await update_role(gateway.parts.database, 1, role.id, role.version, approve="all")
    await set_rule(gateway.parts.database, 1, role.id, "ALLOW", pattern="talker__echo", approve="require")
    await decide(gateway)
    assert "changed while the call waited" in (await calling)["content"][0]["text"]

    # What is asked goes with the server.
    calling = asyncio.create_task(gateway.call("talker__echo", {"a": 2}))
    await asked(gateway)
    await gateway.parts.servers.remove(1, talker.id)
    assert "changed while the call waited" in (await calling)["content"][0]["text"]
    metrics = (await gateway.http.get("/metrics")).text
    assert 'modelgate_approval_wait_seconds_count{outcome="changed"} 2.0' in metrics


async def test_roles_say_calls_of_which_tools_wait(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    database = gateway.parts.database
    role = await role_by_name(database, 1, "all")
    await update_role(database, 1, role.id, role.version, approve="not_read_only")
    # The app is read-only; a rule lets another through.
    assert "Unknown tool" in (await gateway.call("talker__app"))["content"][0]["text"]
    await set_rule(database, 1, role.id, "SEARCH", pattern="talker__everything", approve="waive")
    assert (await gateway.call("talker__everything"))["structuredContent"]
    calling = asyncio.create_task(gateway.call("tool_call", {"name": "talker__echo", "arguments": {"a": 1}}))
    await decide(gateway)
    assert said(await calling)["params"]["arguments"] == {"a": 1}


async def test_a_call_that_was_not_made_after_all_may_be_made_with_its_approval(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    limited = await gateway.parts.keys.create(1, "limited", ["all"])
    key = await gateway.parts.keys.by_id(1, limited.id)
    await gateway.parts.keys.update(
        1,
        key.id,
        name="limited",
        roles=["all"],
        expires_at=None,
        note="",
        limits=replace(key.limits, concurrent_calls=1),
    )
    headers = {"X-API-Key": limited.key}
    params = {"name": "talker__hang", "arguments": {}}
    hanging = asyncio.create_task(gateway.request("tools/call", params, **headers))
    await until(lambda: sum(gateway.parts.pool.calls().values()) == 1)
    params = {"name": "talker__echo", "arguments": {"a": 1}}
    calling = asyncio.create_task(gateway.request("tools/call", params, **headers))
    approval = await decide(gateway)
    assert "error" in await calling
    hanging.cancel()
    await until(lambda: not sum(gateway.parts.pool.calls().values()))
    assert (await gateway.parts.approvals.get(1, approval.id)).state == "approved"
    answers: list[Any] = []

    async def is_made() -> bool:
        # The server may hear of the end of the other call before its place is free.
        answers.append(await gateway.request("tools/call", params, **headers))
        return "result" in answers[-1]

    await until(is_made)
    assert said(answers[-1]["result"])["params"]["arguments"] == {"a": 1}


async def test_a_client_that_knows_tasks_gets_one_and_its_call_is_made_when_it_is_allowed(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    params: dict[str, Any] = {"name": "talker__echo", "arguments": {"a": 1}}
    task = (await modern(gateway, "tools/call", **params))["result"]
    assert (task["resultType"], task["status"]) == ("task", "working")
    assert "waits for approval" in task["statusMessage"]
    assert (await modern(gateway, "tools/call", **params))["result"]["taskId"] == task["taskId"]
    stranger = (await gateway.parts.keys.create(1, "stranger", ["all"])).key
    assert "error" in await modern(gateway, "tasks/get", key=stranger, taskId=task["taskId"])
    await decide(gateway)
    state: dict[str, Any] = {}

    async def has_status(task_id: str, status: str) -> bool:
        state.update((await modern(gateway, "tasks/get", taskId=task_id))["result"])
        return bool(state["status"] == status)

    await until(lambda: has_status(task["taskId"], "completed"))
    assert said(state["result"])["params"]["arguments"] == {"a": 1}

    cancelled = (await modern(gateway, "tools/call", name="talker__echo", arguments={"a": 2}))["result"]["taskId"]
    await modern(gateway, "tasks/cancel", taskId=cancelled)
    assert (await modern(gateway, "tasks/get", taskId=cancelled))["result"]["status"] == "cancelled"
    with pytest.raises(ConflictError, match="not wanted any more"):
        await gateway.parts.approvals.decide(1, cancelled, ADA, "approved")

    denied = (await modern(gateway, "tools/call", name="talker__echo", arguments={"a": 3}))["result"]["taskId"]
    await decide(gateway, "denied", "no")
    state = (await modern(gateway, "tasks/get", taskId=denied))["result"]
    assert (state["status"], state["result"]["isError"]) == ("completed", True)

    running = (await modern(gateway, "tools/call", name="talker__echo", arguments={"seconds": 60}))["result"]["taskId"]
    await decide(gateway)
    await modern(gateway, "tasks/get", taskId=running)
    await until(lambda: bool(sum(gateway.parts.pool.calls().values())))
    await modern(gateway, "tasks/cancel", taskId=running)

    await until(lambda: has_status(running, "cancelled"))
    await until(lambda: not sum(gateway.parts.pool.calls().values()))


async def test_a_task_that_has_ended_without_its_call_makes_none_when_it_is_looked_at_again(
    gateway: RunningGateway, add_talker: AddTalker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    pool, sent = type(gateway.parts.pool), 0
    ask = pool.request

    async def request(self: Any, spec: Any, asked: Any) -> Any:
        nonlocal sent
        if asked.method == "tools/call":
            sent += 1
            if sent == 1:
                raise RequestNotSentError(spec.name, "The server did not take it.")
        return await ask(self, spec, asked)

    monkeypatch.setattr(pool, "request", request)
    task_id = (await modern(gateway, "tools/call", name="talker__echo", arguments={"a": 1}))["result"]["taskId"]
    approval = await decide(gateway)

    async def has_ended() -> bool:
        return bool((await modern(gateway, "tasks/get", taskId=task_id))["result"]["status"] == "completed")

    await until(has_ended)
    assert await has_ended()
    assert not await gateway.parts.approvals.begin_task(approval)
    assert sent == 1
    # What was allowed and not made is taken up by the same call, made again.
    assert said(await gateway.call("talker__echo", {"a": 1}))["params"]["arguments"] == {"a": 1}
    assert sent == 2


async def test_a_call_that_nobody_makes_any_more_has_an_unknown_end(
    gateway: RunningGateway, add_talker: AddTalker, database_url: str
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    task_id = (await modern(gateway, "tools/call", name="talker__echo", arguments={"a": 1}))["result"]["taskId"]
    approval = await decide(gateway)
    # A process begins to make it, and is killed.
    assert await gateway.parts.approvals.begin_task(approval)
    assert (await modern(gateway, "tasks/get", taskId=task_id))["result"]["status"] == "working"
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE call_approvals SET runs_until = now() - interval '1 second'")
    await connection.close()
    state = (await modern(gateway, "tasks/get", taskId=task_id))["result"]
    assert state["status"] == "failed"
    assert "is not known" in state["error"]["message"]
    assert not await gateway.parts.approvals.consume(approval)


async def test_a_person_is_asked_about_what_the_guards_let_through(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker()
    await wait_for_approval(gateway)
    await gateway.parts.guards.rules.set(1, GuardRule("secrets", "secrets", "mask"))
    calling = asyncio.create_task(gateway.call("talker__echo", {"token": TOKEN}))
    approval = await asked(gateway)
    shown = await gateway.parts.approvals.arguments(approval)
    assert TOKEN not in str(shown)
    await decide(gateway)
    assert said(await calling)["params"]["arguments"] == shown


async def test_a_call_goes_on_waiting_while_nothing_tells_of_changes(parts: Components) -> None:
    # Nobody listens here, as while the connection that does is lost.
    assert not parts.notices.connected
    event = asyncio.Event()
    with anyio.fail_after(3):
        await ApprovalSignal(parts.notices, event).wait(60)
