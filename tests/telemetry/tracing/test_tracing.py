"""A request, followed from the client through the gateway to the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import Components, open_components
from gateway.errors import SettingsError
from gateway.settings import Settings, TracingSettings
from gateway.telemetry.tracing.otlp import open_otlp_tracer
from tests.doubles.trace_collector import TraceCollector, echo_server
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.serving import serving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@dataclass(frozen=True, slots=True)
class Traced:
    """A gateway that is traced, with an echoing server, and what collects its spans."""

    gateway: RunningGateway
    collector: TraceCollector

    async def echo(self, meta: dict[str, str] | None = None, **headers: str) -> dict[str, Any]:
        """What the server was told of the trace."""
        return await _echo(self.gateway, meta, **headers)

    async def flush(self) -> None:
        """Have the collector get what was recorded."""
        tracing = self.gateway.parts.tracing
        await asyncio.to_thread(tracing._tracer._provider.force_flush)  # type: ignore[union-attr]


async def _echo(gateway: RunningGateway, meta: dict[str, str] | None, **headers: str) -> dict[str, Any]:
    params = {"name": "echo__echo", "arguments": {}, **({"_meta": meta} if meta is not None else {})}
    answer = await gateway.request("tools/call", params, **headers)
    told: dict[str, Any] = json.loads(answer["result"]["content"][0]["text"])
    return told


async def _add_echo(parts: Components, url: str) -> None:
    tenant = await tenant_by_slug(parts.database)
    server = await parts.servers.add(tenant.id, ServerDefinition("Echo", "http", url=f"{url}/mcp"))
    await parts.sync.run(tenant.id, server)


@pytest.fixture
async def traced(settings: Settings) -> AsyncIterator[Traced]:
    collector = TraceCollector()
    async with serving(collector.application()) as address, serving(echo_server()) as upstream:
        own = replace(settings, tracing=TracingSettings(address, 0.0))
        async with open_components(own) as parts:
            await _add_echo(parts, upstream)
            async with running_gateway(parts) as gateway:
                yield Traced(gateway, collector)


async def test_a_call_of_a_sampled_trace_is_followed_to_the_server_and_its_statements(traced: Traced) -> None:
    told = await traced.echo(traceparent=TRACEPARENT, tracestate="vendor=1")
    await traced.flush()
    collector = traced.collector
    http, message = collector.named("POST /mcp"), collector.named("tools/call echo__echo")
    upstream = collector.named("tools/call Echo")
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert (http.parent_id, message.parent_id, upstream.parent_id) == (PARENT, http.span_id, message.span_id)
    assert (http.kind, message.kind, upstream.kind) == (2, 2, 3)
    assert http.attributes["http.response.status_code"] == 200
    assert upstream.attributes["modelgate.server"] == "Echo"
    # To the server it is the span of the call that it continues, in the message and in the headers alike.
    assert told["meta"] == {"traceparent": f"00-{TRACE}-{upstream.span_id}-01", "tracestate": "vendor=1"}
    assert told["headers"]["traceparent"] == told["meta"]["traceparent"]
    statements = [span for span in collector.spans if span.attributes.get("db.system.name") == "postgresql"]
    assert {span.parent_id for span in statements} <= {http.span_id, message.span_id}
    assert "tools_by_name" in {span.name for span in statements}


async def test_a_trace_named_in_the_message_is_the_one_that_goes_on(traced: Traced) -> None:
    """SEP-414: what carried the message may be in another trace, or in none."""
    told = await traced.echo({"traceparent": TRACEPARENT, "baggage": "a=1", "vendor/key": "kept"})
    await traced.flush()
    message = traced.collector.named("tools/call echo__echo")
    assert (message.trace_id, message.parent_id) == (TRACE, PARENT)
    assert told["meta"]["traceparent"].split("-")[1] == TRACE
    assert told["meta"]["traceparent"] != TRACEPARENT
    assert (told["meta"]["baggage"], told["meta"]["vendor/key"]) == ("a=1", "kept")


async def test_a_search_shows_its_steps(traced: Traced) -> None:
    arguments = {"query": "say what was told"}
    await traced.gateway.request("tools/call", {"name": "tool_search", "arguments": arguments}, traceparent=TRACEPARENT)
    await traced.flush()
    search, message = traced.collector.named("search"), traced.collector.named("tools/call tool_search")
    assert search.parent_id == message.span_id
    assert traced.collector.named("embed queries").parent_id == search.span_id
    assert all("told" not in str(span.attributes) for span in traced.collector.spans)


async def test_what_is_not_sampled_leaves_no_span_and_says_so_to_the_server(traced: Traced) -> None:
    told = await traced.echo()
    await traced.flush()
    assert traced.collector.spans == []
    assert int(told["meta"]["traceparent"][-2:], 16) & 1 == 0


async def test_a_call_that_fails_is_marked_and_its_request_goes_by_one_id(traced: Traced) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing"}}
    answer = await traced.gateway.post(body, traceparent=TRACEPARENT, **{"X-Request-Id": "mine-7"})
    await traced.flush()
    assert answer.headers["x-request-id"] == "mine-7"
    assert traced.collector.named("POST /mcp").attributes["modelgate.request_id"] == "mine-7"
    failed = traced.collector.named("tools/call nothing")
    assert (failed.is_error, failed.attributes["error.type"]) == (True, "MCPError")
    other = await traced.gateway.post(body, **{"X-Request-Id": "not an id"})
    assert len(other.headers["x-request-id"]) == 16


async def test_without_tracing_what_clients_say_of_their_traces_is_passed_on(
    parts: Components, gateway: RunningGateway
) -> None:
    async with serving(echo_server()) as upstream:
        await _add_echo(parts, upstream)
        assert (await _echo(gateway, None))["meta"] == {}
        told = await _echo(gateway, {"traceparent": TRACEPARENT})
        assert told["meta"] == {"traceparent": TRACEPARENT}
        assert told["headers"]["traceparent"] == TRACEPARENT
        by_header = await _echo(gateway, None, traceparent=TRACEPARENT)
        assert by_header["meta"] == {"traceparent": TRACEPARENT}
        for malformed in ("00-0-0-01", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", "x" * 5000):
            assert "traceparent" not in (await _echo(gateway, None, traceparent=malformed))["headers"]
        await parts.pool.close_server(1)


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://x", "http://"])
def test_an_address_that_is_none_stops_the_start(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"tracing\.endpoint has to be the address"):
        open_otlp_tracer(endpoint, 0.1)
