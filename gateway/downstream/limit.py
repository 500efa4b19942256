"""The largest result that is passed on whole."""

from __future__ import annotations

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.downstream.serialized import Serialized
from gateway.upstream.message import encode

# What the result has around its content, with room to spare.
_ENVELOPE_BYTES = 512


class ResultLimit:
    """Cuts results to at most `maximum` bytes of JSON, and says in the result what was cut and how large it was."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum

    def apply(self, result: dict[str, Any]) -> Serialized:
        """`result` untouched where it fits, else a result that does: texts cut, all else replaced by a note."""
        whole = Serialized.of(result)
        if len(whole.text) <= self._maximum:
            return whole
        return Serialized.of(self._cut(result, len(whole.text)))

    def check(self, result: dict[str, Any]) -> Serialized:
        """`result` untouched. Raises MCPError where it is too large: a piece of a resource would pass for the whole."""
        whole = Serialized.of(result)
        if len(whole.text) > self._maximum:
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"The result has {len(whole.text):,} bytes, more than the {self._maximum:,} that the gateway "
                "passes on; raise mcp.max_result_bytes, or ask for less.",
                data={"bytes": len(whole.text), "maximum": self._maximum},
            )
        return whole

    def _cut(self, result: dict[str, Any], size: int) -> dict[str, Any]:
        content = result.get("content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        left = self._maximum - _ENVELOPE_BYTES
        kept: list[dict[str, Any]] = []
        gone: list[str] = []
        for block in blocks:
            length = len(encode(block))
            if length <= left // 2 or (length <= left and block is blocks[-1]):
                kept.append(block)
                left -= length
                continue
            text = block.get("text")
            if block.get("type") == "text" and isinstance(text, str) and left > _ENVELOPE_BYTES:
                shown = _beginning(text, left - _ENVELOPE_BYTES)
                kept.append({**block, "text": shown})
                left -= len(encode(kept[-1]))
                gone.append(f"a text after its first {len(shown):,} of {len(text):,} characters")
            else:
                gone.append(f"a block of type {str(block.get('type'))[:40]!r} of {length:,} bytes")
        for key in ("structuredContent", "_meta"):
            if key in result:
                gone.append(f"{key} of {len(encode({key: result[key]})):,} bytes")
        note = (
            f"The result was cut by the gateway: it had {size:,} bytes, more than the {self._maximum:,} it may have. "
            f"Missing: {'; '.join(gone[:5])}{f'; and {len(gone) - 5} more' if len(gone) > 5 else ''}. "
            "Ask for less at once."
        )
        cut: dict[str, Any] = {"content": [*kept, {"type": "text", "text": note}]}
        for key in ("isError", "resultType"):
            if key in result:
                cut[key] = result[key]
        return cut


def _beginning(text: str, size: int) -> str:
    """As much of the beginning of `text` as takes at most `size` bytes in JSON."""
    shown = text[:size]
    while len(encoded := encode({"": shown})) > size:
        # Escapes and non-ASCII characters take several bytes: shrink in proportion, which ends after a few rounds.
        shown = shown[: min(len(shown) - 1, len(shown) * size // len(encoded))]
    return shown
