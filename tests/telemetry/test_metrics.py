"""What is counted and timed."""

from __future__ import annotations

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.trace_context import in_trace, parse_trace_context


def test_a_call_is_counted_by_server_and_outcome_and_timed() -> None:
    metrics = Metrics()
    metrics.observe_call("GitHub", "ok", 0.02)
    metrics.observe_call("GitHub", "ok", 0.03)
    metrics.observe_call(None, "unknown", 0.001)
    text = metrics.exposition().decode()
    assert 'modelgate_tool_call_seconds_count{outcome="ok",server="GitHub"} 2.0' in text
    assert 'modelgate_tool_call_seconds_bucket{le="0.025",outcome="ok",server="GitHub"} 1.0' in text
    assert 'modelgate_tool_call_seconds_count{outcome="unknown",server=""} 1.0' in text


def test_a_search_is_counted_with_what_it_found() -> None:
    metrics = Metrics()
    metrics.observe_search("ok", 4, 0.001)
    metrics.observe_search("ok", 3, 0.001)
    text = metrics.exposition().decode()
    assert "modelgate_search_results_total 7.0" in text
    assert 'modelgate_search_seconds_count{outcome="ok"} 2.0' in text


def test_servers_beyond_two_hundred_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(300):
        metrics.observe_call(f"server {number}", "ok", 0.01)
    metrics.observe_call("server 0", "ok", 0.01)
    text = metrics.exposition().decode()
    assert text.count("modelgate_tool_call_seconds_count{") == 201
    assert 'modelgate_tool_call_seconds_count{outcome="ok",server="other"} 100.0' in text
    assert 'modelgate_tool_call_seconds_count{outcome="ok",server="server 0"} 2.0' in text


def test_what_is_watched_is_read_when_it_is_asked_for() -> None:
    metrics = Metrics()
    state = {"busy": 1.0, "idle": 3.0}
    metrics.watch("modelgate_connections", "Connections", lambda: state, label="state")
    metrics.watch("modelgate_depth", "Depth", lambda: {"": len(state)})
    state["busy"] = 2.0
    text = metrics.exposition().decode()
    assert 'modelgate_connections{state="busy"} 2.0' in text
    assert "modelgate_depth 2.0" in text


def test_a_server_name_cannot_break_the_format() -> None:
    metrics = Metrics()
    metrics.observe_call('a"} 1\nforged 2', "ok", 0.01)
    lines = metrics.exposition().decode().splitlines()
    assert not any(line.startswith("forged") for line in lines)


def test_what_is_timed_in_a_sampled_trace_shows_it_as_an_exemplar() -> None:
    metrics = Metrics()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    for flags in ("00", "01"):
        with in_trace(parse_trace_context({"traceparent": f"00-{trace_id}-b7ad6b7169203331-{flags}"})):
            metrics.observe_search("ok", 1, 0.02 if flags == "01" else 0.2)
    lines = metrics.openmetrics().decode().splitlines()
    shown = [line for line in lines if trace_id in line]
    assert len(shown) == 1
    assert shown[0].startswith(
        f'modelgate_search_seconds_bucket{{le="0.025",outcome="ok"}} 1.0 # {{trace_id="{trace_id}"}} 0.02'
    )
    assert trace_id not in metrics.exposition().decode()


def test_what_only_grows_is_a_counter() -> None:
    metrics = Metrics()
    metrics.watch_counter("modelgate_lookups", "Lookups", lambda: {"cache": 3.0}, label="source")
    text = metrics.exposition().decode()
    assert "# TYPE modelgate_lookups_total counter" in text
    assert 'modelgate_lookups_total{source="cache"} 3.0' in text
