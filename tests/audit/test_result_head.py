"""How much of a result the audit log keeps."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.audit.result_head import result_head


@pytest.mark.parametrize(
    ("result", "head"),
    [
        ({"content": [{"type": "text", "text": "a" * 9_000}]}, ("a" * 8_000,)),
        ({"content": [{"type": "text", "text": str(number)} for number in range(12)]}, tuple("0123456789")),
        (
            {"content": [{"type": "image", "mimeType": "image/png", "data": "aGk="}, {"type": "audio", "mimeType": 7}]},
            ("[image image/png]", "[audio]"),
        ),
        (
            {"content": [{"type": "resource_link", "uri": "file:///a", "name": "a"}, "none", None]},
            ("[resource_link file:///a]",),
        ),
        ({"structuredContent": {"sum": 5}}, ('{"sum":5}',)),
        ({"content": [{"type": "text", "text": ""}], "structuredContent": {"sum": 5}}, ('{"sum":5}',)),
        ({"content": [{"type": "text", "text": "5"}], "structuredContent": {"sum": 5}}, ("5",)),
        ({"content": "hello"}, ()),
    ],
    ids=["long", "many", "media", "links", "structured", "empty text", "both", "none"],
)
def test_of_a_result_the_texts_are_kept_and_of_the_rest_what_it_is(
    result: dict[str, Any], head: tuple[str, ...]
) -> None:
    assert result_head(result) == head
