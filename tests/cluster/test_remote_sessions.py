"""Requests in a session that land on another process than that which holds it, and are answered there."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from mcp_types import ElicitRequestParams, ElicitResult

from gateway.access.caller import Caller
from gateway.cluster.links.channel import connect
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.membership import Membership
from gateway.downstream.admission import AdmissionControl, AdmittedRequest
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.sessions.remote.joined_request import JoinedRequests
from gateway.downstream.protocol.sessions.remote.session_announcer import SESSIONS_SERVICE, SessionAnnouncer
from gateway.downstream.protocol.sessions.running_request import RunningRequest
from gateway.errors import OverloadedError
from gateway.upstream.request import CallHooks
from tests.cluster.conftest import Forwarded, Pair, cluster_of, opened_elsewhere
from tests.cluster.test_link import linked
from tests.downstream.conftest import text_of
from tests.downstream.protocol.sessions.test_client_sessions import PING, opened
from tests.downstream.protocol.sessions.test_session_requests import VERSION, call, events
from tests.support.waiting import until


@pytest.mark.usefixtures("unhurried")
async def test_a_request_is_answered_where_it_lands_and_what_the_holder_has_to_see_goes_there(
    pair: Pair, forwarded: Forwarded
) -> None:
    _, other, headers = await opened_elsewhere(pair, forwarded)
    response = await other.post({**PING, "id": "here"}, **headers)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["mcp-session-id"] == headers["Mcp-Session-Id"]
    assert response.json() == {"jsonrpc": "2.0", "id": "here", "result": {}}
    assert not forwarded.requests
    assert (await other.post({**PING, "method": "logging/setLevel"}, **headers)).status_code == 200
    assert forwarded.requests == [{}]
    mine = {**headers, "X-API-Key": other.key}
    assert (await other.post(PING, **mine)).status_code == 404


async def test_what_is_said_before_the_result_comes_on_a_stream_of_the_holder(pair: Pair, forwarded: Forwarded) -> None:
    await pair.add_talker()
    _, other, headers = await opened_elsewhere(pair, forwarded)
    response = await other.post(call("progress", progressToken="p"), **headers)
    *steps, answer = events(response)
    assert [step["params"]["progress"] for step in steps] == [1, 2, 3]
    assert answer["result"]["content"][0]["text"] == "done"
    assert [line for line in response.text.splitlines() if line.startswith("id:")]
    (how,) = forwarded.requests
    assert how["running"] is not None
    said = events(await other.post(call("log"), **headers))
    assert [each.get("method", "answer") for each in said] == [*["notifications/message"] * 2, "answer"]
    (answer,) = events(await other.post(call("echo", {"text": "slow", "seconds": 0.4}), **headers))
    assert "slow" in json.dumps(answer["result"])


@pytest.mark.usefixtures("unhurried")
async def test_a_log_level_holds_wherever_the_next_request_lands(pair: Pair, forwarded: Forwarded) -> None:
    await pair.add_talker()
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    wish = {"jsonrpc": "2.0", "id": 3, "method": "logging/setLevel", "params": {"level": "emergency"}}
    assert (await holder.post(wish, **headers)).status_code == 200

    async def is_quiet() -> bool:
        response = await other.post(call("log"), **headers)
        return response.headers["content-type"] == "application/json"

    await until(is_quiet)


async def test_what_a_server_asks_of_a_call_that_is_answered_elsewhere_reaches_the_client(
    pair: Pair, forwarded: Forwarded
) -> None:
    await pair.add_talker()

    async def choose(_: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"colour": "blue"})

    holder, other = pair.both
    async with pair.client(holder, other, other, other, mode="legacy", elicitation_callback=choose) as client:
        for _ in range(4):
            assert "blue" in text_of(await client.call_tool("talker__ask", {}))
    assert any(how.get("running") is not None for how in forwarded.requests)


async def test_a_request_is_cancelled_through_any_process(pair: Pair, forwarded: Forwarded) -> None:
    talker = await pair.add_talker()
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    for through in (holder, other):
        talker.log.unlink(missing_ok=True)
        calling = asyncio.create_task(other.post(call("hang", request_id=through.url), **headers))
        await talker.wait_for_log("hanging")
        cancel = {"requestId": through.url}
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel}
        assert (await through.post(message, **headers)).status_code == 202
        await calling
        await talker.wait_for_log("cancelled")


async def test_what_runs_already_is_answered_where_it_runs_if_the_holder_takes_no_more_requests(
    pair: Pair, forwarded: Forwarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.add_talker()
    _, other, headers = await opened_elsewhere(pair, forwarded)
    admit = AdmissionControl.admit
    admitted = 0

    async def admit_once(self: AdmissionControl, tenant_id: int) -> AdmittedRequest:
        nonlocal admitted
        admitted += 1
        if admitted > 1:
            raise OverloadedError()
        return await admit(self, tenant_id)

    monkeypatch.setattr(AdmissionControl, "admit", admit_once)
    response = await other.post(call("echo", {"text": "slow", "seconds": 0.4}), **headers)
    # With 503 it would be sent again, and be done twice.
    assert response.status_code == 200
    assert "slow" in response.text
    assert admitted == 2


async def test_what_runs_already_is_answered_where_it_runs_if_its_session_has_just_ended(
    pair: Pair, forwarded: Forwarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.add_talker()
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    # What is told of its end is still on its way.
    monkeypatch.setattr(SessionAnnouncer, "_announce", lambda *_: None)
    assert (await holder.http.delete("/mcp", headers=headers)).status_code == 200
    response = await other.post(call("echo", {"text": "slow", "seconds": 0.4}), **headers)
    # With 404 its client would open another session, and send it again.
    assert response.status_code == 200
    assert "slow" in response.text
    (how,) = forwarded.requests
    assert how["running"] is not None


async def test_a_request_whose_client_leaves_before_it_is_joined_is_still_joined() -> None:
    hop = Hop(lambda: (), lambda: "here", connect)
    joined = JoinedRequests(hop, Membership(cast(Any, None), list, "", hop.is_reachable))

    async def answer() -> dict[str, Any]:
        await running.context()
        return {"said": "late"}

    running: RunningRequest[CallHooks] = RunningRequest()
    running.start(answer())
    with joined.offering(running) as number:
        pass
    running.expect_to_be_joined()
    async with linked(None, **hop.services) as (link, _):
        assert (await link.ask("session-request", {"number": number})).head == {"result": {"said": "late"}}

        async def is_withdrawn() -> bool:
            return "error" in (await link.ask("session-request", {"number": number})).head

        await until(is_withdrawn)


async def test_a_member_that_the_holder_has_not_heard_of_yet_has_its_requests_joined(
    pair: Pair, forwarded: Forwarded
) -> None:
    await pair.add_talker()
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    cluster_of(holder).membership._members = {}
    (answer,) = events(await other.post(call("echo", {"text": "slow", "seconds": 0.4}), **headers))
    assert "slow" in json.dumps(answer["result"])


async def test_a_request_counts_once_wherever_it_is_answered(
    pair: Pair, forwarded: Forwarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.add_talker()
    _, other, headers = await opened_elsewhere(pair, forwarded)
    count = Authentication.count_request
    counted: list[str] = []

    async def noted(self: Authentication, caller: Caller) -> None:
        counted.append(caller.identity)
        await count(self, caller)

    monkeypatch.setattr(Authentication, "count_request", noted)
    listing = {**PING, "method": "tools/list"}
    for message in (PING, listing, call("progress", progressToken="p"), call("echo", {"seconds": 0.4}), PING):
        counted.clear()
        assert (await other.post(message, **headers)).status_code == 200
        assert len(counted) == 1
    # Somebody else's, in whose place the holder says that there is none.
    assert (await other.post(PING, **{**headers, "X-API-Key": other.key})).status_code == 404
    assert len(counted) == 2


async def test_with_what_a_cut_result_is_read_on_is_listed_wherever_the_result_was_cut(
    pair: Pair, forwarded: Forwarded
) -> None:
    await pair.add_talker()
    _, other, headers = await opened_elsewhere(pair, forwarded)
    response = await other.post(call("big", {"characters": 1_300_000}), **headers)
    assert "read on with read_result" in response.text

    async def is_listed() -> bool:
        return '"read_result"' in (await other.post({**PING, "method": "tools/list"}, **headers)).text

    await until(is_listed)


async def test_who_ends_a_session_finds_it_ended_where_they_did_that(pair: Pair, forwarded: Forwarded) -> None:
    _, other, headers = await opened_elsewhere(pair, forwarded)
    assert (await other.http.delete("/mcp", headers=headers)).status_code == 200
    assert (await other.post(PING, **headers)).status_code == 404


async def test_a_holder_of_the_version_before_is_asked_once_and_gets_every_request(
    pair: Pair, forwarded: Forwarded
) -> None:
    holder, other = pair.both
    services = cluster_of(holder).hop.services
    asked: list[str] = []

    async def break_down(_: LinkStream, first: LinkMessage) -> LinkMessage:
        asked.append(first.head["session"])
        raise KeyError(SESSIONS_SERVICE)

    services[SESSIONS_SERVICE] = break_down
    headers = {**await opened(holder), **VERSION, "X-API-Key": holder.key}
    assert (await other.post(PING, **headers)).status_code == 200
    await until(lambda: bool(asked))
    for _ in range(3):
        assert (await other.post(PING, **headers)).status_code == 200
    assert (len(forwarded.requests), len(asked)) == (4, 1)


async def test_a_session_that_has_ended_has_ended_everywhere(pair: Pair, forwarded: Forwarded) -> None:
    holder, other, headers = await opened_elsewhere(pair, forwarded)
    assert (await holder.http.delete("/mcp", headers=headers)).status_code == 200

    async def has_ended() -> bool:
        return (await other.post(PING, **headers)).status_code == 404

    await until(has_ended)
