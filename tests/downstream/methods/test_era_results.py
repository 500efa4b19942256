"""Results of modern servers, as older clients know results."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from gateway.downstream.methods.era_results import without_modern_parts

SERVER = "io.modelcontextprotocol/serverInfo"


@pytest.mark.parametrize("era", ["oneshot", "handshake"])
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"content": [], "resultType": "complete"}, {"content": []}),
        ({"content": [], "resultType": "complete", "ttlMs": 1, "cacheScope": "public"}, {"content": []}),
        # Of a server that does not speak of its kind, they are its own.
        ({"contents": [], "ttlMs": 1}, {"contents": [], "ttlMs": 1}),
        ({"content": [], "_meta": {SERVER: {"name": "s"}}}, {"content": []}),
        ({"content": [], "_meta": {SERVER: {}, "v": 1}}, {"content": [], "_meta": {"v": 1}}),
        ({"content": [], "_meta": {}}, {"content": [], "_meta": {}}),
        ({"content": [], "_meta": None}, {"content": [], "_meta": None}),
    ],
)
def test_they_lose_what_is_only_said_there(
    era: Literal["oneshot", "handshake"], result: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = dict(result)
    assert without_modern_parts(result, era) == expected
    assert result == before


@pytest.mark.parametrize("value", [[1, 2], "text", 5, True])
def test_a_structured_result_that_is_no_object_is_text_in_the_handshake_era(value: Any) -> None:
    result = {"content": [], "structuredContent": value, "resultType": "complete"}
    older = without_modern_parts(result, "handshake")
    assert "structuredContent" not in older
    assert len(older["content"]) == 1
    assert without_modern_parts({**result, "content": [{"type": "text", "text": "t"}]}, "handshake") == {
        "content": [{"type": "text", "text": "t"}]
    }
    assert without_modern_parts(result, "oneshot")["structuredContent"] == value
