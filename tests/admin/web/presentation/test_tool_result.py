"""Results of tools, part by part."""

from __future__ import annotations

from gateway.admin.web.presentation.tool_result import result_parts


def test_every_kind_of_result_has_its_own_look() -> None:
    result = {
        "content": [
            {"type": "text", "text": '{"a": 1}'},
            {"type": "text", "text": "[not json"},
            {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            {"type": "image", "data": "aGk=", "mimeType": "text/html"},
            {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "javascript:alert(1)", "name": "bad"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
            "odd",
        ],
        "structuredContent": [1],
    }
    kinds = [part.kind for part in result_parts(result)]
    assert kinds == ["json", "text", "picture", "other", "sound", "link", "text", "other", "json"]
    assert [part.kind for part in result_parts("odd")] == ["json"]
