"""A request that two processes answer is one in traces and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.cluster.upstreams.request_origin import in_origin, origin_to_wire
from gateway.settings import Settings, TracingSettings
from gateway.telemetry.trace_context import current_request_id, in_request
from gateway.telemetry.tracing import Tracing
from tests.cluster.conftest import cluster_of, joined_gateway
from tests.cluster.test_processes import ACCEPT, INITIALIZE
from tests.doubles.trace_collector import TraceCollector, echo_server
from tests.support.gateway import RunningGateway
from tests.support.serving import serving
from tests.support.waiting import until
from tests.telemetry.tracing.test_tracing import PARENT, TRACE, TRACEPARENT

LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@dataclass(frozen=True, slots=True)
class TracedPair:
    """Two gateways of which the first owns a server that says what it was told of the trace."""

    owner: RunningGateway
    other: RunningGateway
    collector: TraceCollector

    async def flush(self) -> None:
        for each in (self.owner, self.other):
            await asyncio.to_thread(each.parts.tracing._tracer._provider.force_flush)  # type: ignore[union-attr]


@pytest.fixture
async def traced(settings: Settings) -> AsyncIterator[TracedPair]:
    collector = TraceCollector()
    async with serving(collector.application()) as address, serving(echo_server()) as upstream:
        own = replace(settings, tracing=TracingSettings(address, 0.0))
        async with joined_gateway(own) as owner:
            server_id = await owner.parts.servers.add(1, ServerDefinition("Echo", "http", url=f"{upstream}/mcp"))
            await owner.parts.sync.run(1, server_id)
            async with joined_gateway(own) as other:
                await until(lambda: bool(cluster_of(owner).membership.others and cluster_of(other).membership.others))
                assert cluster_of(owner).owners.owned() == [server_id]
                yield TracedPair(owner, other, collector)


async def test_a_call_is_followed_through_the_process_that_owns_the_server(traced: TracedPair) -> None:
    call = {"name": "echo__echo", "arguments": {}}
    answer = await traced.other.request("tools/call", call, traceparent=TRACEPARENT, **{"X-Request-Id": "mine-7"})
    told = json.loads(answer["result"]["content"][0]["text"])
    await traced.flush()
    message, hop, upstream = map(traced.collector.named, ("tools/call echo__echo", "hop upstream", "tools/call Echo"))
    assert {span.trace_id for span in traced.collector.spans} == {TRACE}
    assert (hop.parent_id, upstream.parent_id) == (message.span_id, hop.span_id)
    assert hop.attributes["modelgate.request_id"] == "mine-7"
    assert hop.attributes["modelgate.member"] == cluster_of(traced.owner).membership.id
    assert told["meta"]["traceparent"] == told["headers"]["traceparent"] == f"00-{TRACE}-{upstream.span_id}-01"


async def test_a_request_is_followed_to_the_process_that_holds_its_session(traced: TracedPair) -> None:
    opened = await traced.owner.post(INITIALIZE, **ACCEPT)
    sent = {**ACCEPT, "traceparent": TRACEPARENT, "X-Request-Id": "mine-8", "X-API-Key": traced.owner.key}
    answer = await traced.other.post(LIST, **sent, **{"Mcp-Session-Id": opened.headers["mcp-session-id"]})
    assert answer.status_code == 200
    assert answer.headers.get_list("x-request-id") == ["mine-8"]
    await traced.flush()
    first = next(span for span in traced.collector.spans if span.parent_id == PARENT)
    second = next(span for span in traced.collector.spans if span.parent_id == first.span_id and span.kind == 2)
    assert (first.name, second.name) == ("POST /mcp", "POST /mcp")
    assert second.attributes["modelgate.request_id"] == "mine-8"
    assert traced.collector.named("tools/list").parent_id == second.span_id


def test_what_belongs_to_no_trace_begins_none_at_another_process_and_has_its_id_there() -> None:
    assert origin_to_wire() == {}
    with in_request("mine-9"):
        wire = origin_to_wire()
    with in_origin(wire, Tracing(), "hop", {}):
        assert (current_request_id(), origin_to_wire()) == ("mine-9", wire)
