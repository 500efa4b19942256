"""What the talker's tool `everything` returns; the talker itself runs without the project on its path."""

from __future__ import annotations

from typing import Any

EVERYTHING: dict[str, Any] = {
    "content": [
        {"type": "text", "text": "naïve ☃ 😀", "annotations": {"audience": ["user"], "priority": 0.5}},
        {"type": "image", "data": "aGk=", "mimeType": "image/png", "_meta": {"x": None}},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "a", "vendor": 1}},
        {"type": "resource_link", "uri": "file:///b", "name": "b", "icons": [{"src": "data:,x"}]},
        {"type": "hologram", "depth": 3},
    ],
    "structuredContent": {"n": 1.0, "big": 12345678901234567890, "none": None, "list": [[], {}]},
    "isError": False,
    "_meta": {"vendor/key": {"kept": [True]}},
    "x-unknown": {"deep": {"er": 1e-7}},
}
