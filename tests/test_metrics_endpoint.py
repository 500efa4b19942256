"""`GET /metrics` over a socket."""

from __future__ import annotations

from dataclasses import replace

from gateway.components import open_components
from gateway.metrics_endpoint import merge_expositions
from gateway.settings import MetricsSettings, Settings
from tests.support.gateway import RunningGateway, running_gateway

EXPECTED = (
    'modelgate_request_seconds_count{status="200"}',
    'modelgate_search_seconds_count{outcome="ok"} 1.0',
    'modelgate_tool_call_seconds_count{outcome="unknown",server=""} 1.0',
    'modelgate_database_connections{state="idle"}',
    "modelgate_index_bytes ",
    "modelgate_audit_dropped_total 0.0",
    "modelgate_sessions 0.0",
    'modelgate_embedding_seconds_count{outcome="ok",purpose="query"} ',
    'modelgate_database_wait_seconds_count{outcome="ok"} ',
    'modelgate_upstream_calls{state="waiting"} 0.0',
    "modelgate_requests_in_flight 0.0",
    "modelgate_index_tools 0.0",
    "modelgate_embedder_breaker_open 0.0",
    'modelgate_build_info{version="',
    "process_resident_memory_bytes",
)


async def test_what_was_done_is_among_the_metrics_and_nothing_of_what_was_said(gateway: RunningGateway) -> None:
    await gateway.call("tool_search", {"query": "a very private question"})
    await gateway.request("tools/call", {"name": "made_up_tool", "arguments": {}})
    response = await gateway.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    for line in EXPECTED:
        assert line in response.text
    assert "private" not in response.text
    assert gateway.key not in response.text


async def test_a_request_that_comes_through_a_proxy_is_refused_without_a_token(gateway: RunningGateway) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        response = await gateway.http.get("/metrics", headers={header: "127.0.0.1"})
        assert response.status_code == 401, header
        assert "metrics.token" in response.text


async def test_with_a_token_only_who_sends_it_reads_them(settings: Settings) -> None:
    with_token = replace(settings, metrics=MetricsSettings(token="a long secret"))
    async with open_components(with_token) as parts, running_gateway(parts) as gateway:
        assert (await gateway.http.get("/metrics")).status_code == 401
        wrong = await gateway.http.get("/metrics", headers={"Authorization": "Bearer another"})
        right = await gateway.http.get("/metrics", headers={"Authorization": "Bearer a long secret"})
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert "a long secret" not in right.text


def test_the_samples_of_a_metric_stand_together_whichever_process_they_are_of() -> None:
    calls = '# HELP calls_total Calls\n# TYPE calls_total counter\ncalls_total{to="a{b} c"} 2.0\n'
    first = "# HELP up Up\n# TYPE up gauge\nup 1.0\n" + calls
    second = "# HELP up Up\n# TYPE up gauge\nup 0.0\n"
    assert merge_expositions({"m1": first, "m2": second}).splitlines() == [
        "# HELP up Up",
        "# TYPE up gauge",
        'up{member="m1"} 1.0',
        'up{member="m2"} 0.0',
        "# HELP calls_total Calls",
        "# TYPE calls_total counter",
        'calls_total{member="m1",to="a{b} c"} 2.0',
    ]
