"""What a request of the modern era says in headers."""

from __future__ import annotations

import pytest

from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.protocol_era import ModernEra

HALF = "\ud800"


@pytest.fixture
def era() -> ModernEra:
    era = ModernEra("2026-07-28", {})
    properties = {name: {"type": "string", "x-mcp-header": name.title()} for name in ("city", "day")}
    era.register_tools([{"name": "get_weather", "inputSchema": {"type": "object", "properties": properties}}])
    return era


def test_name_and_marked_arguments_are_repeated(era: ModernEra) -> None:
    arguments = {"city": "Tōkyō", "day": "monday"}
    _, headers = era.encode(UpstreamRequest("tools/call", {"name": "get_weather", "arguments": arguments}))
    assert headers["mcp-name"] == "get_weather"
    assert (headers["Mcp-Param-Day"], headers["Mcp-Param-City"]) == ("monday", "=?base64?VMWNa3nFjQ==?=")


def test_half_a_surrogate_pair_is_left_to_the_server(era: ModernEra) -> None:
    arguments = {"city": HALF, "day": "monday"}
    params, headers = era.encode(UpstreamRequest("tools/call", {"name": "get_weather", "arguments": arguments}))
    assert params["arguments"] == arguments
    assert {name for name in headers if name.startswith("Mcp-Param")} == {"Mcp-Param-Day"}
    _, headers = era.encode(UpstreamRequest("prompts/get", {"name": HALF}))
    assert "mcp-name" not in headers
