"""What is counted and timed."""

from __future__ import annotations

from gateway.metrics import Metrics


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
