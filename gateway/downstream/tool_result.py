"""Results of the gateway's own tools."""

from __future__ import annotations

from typing import Any


def text_result(text: str) -> dict[str, Any]:
    """A result of one text block."""
    return {"content": [{"type": "text", "text": text}], "isError": False}


def error_result(text: str) -> dict[str, Any]:
    """A tool error: something for the model to read and mend."""
    return {"content": [{"type": "text", "text": text}], "isError": True}
