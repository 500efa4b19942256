"""The largest result that is passed on whole."""

from __future__ import annotations

import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.downstream.serialized import Serialized
from gateway.upstream.message import encode

MAX_ERROR_BYTES = 64 * 1024
"""How large message and data of an upstream's JSON-RPC error may be together, in bytes of JSON."""

# What the result has around its content, with room to spare.
_ENVELOPE_BYTES = 512
_NAMED = 5
_NAME_CHARACTERS = 40
_OF_ITS_OWN = ("content", "isError", "resultType")


class ResultLimit:
    """Cuts results to at most `maximum` bytes of JSON, and says in the result what was cut and how large it was."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum

    def apply(self, result: dict[str, Any]) -> Serialized:
        """The result of a tool: untouched where it fits, else one that does, which any client can take.

        Texts are cut, all else is replaced by a note. What is not complete by itself, as a question to the client, is a
        tool error instead: a piece of it is of no use.
        """
        whole = Serialized.of(result)
        if len(whole.text) <= self._maximum:
            return whole
        if result.get("resultType", "complete") != "complete":
            return Serialized.of(self._unanswerable(result, len(whole.text)))
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

    def _unanswerable(self, result: dict[str, Any], size: int) -> dict[str, Any]:
        kind = _plain(result["resultType"])
        text = (
            f"The server answered with {kind} of {size:,} bytes, more than the {self._maximum:,} that the gateway "
            "passes on; ask it for less, or raise mcp.max_result_bytes."
        )
        return {"content": [{"type": "text", "text": text}], "isError": True, "resultType": "complete"}

    def _cut(self, result: dict[str, Any], size: int) -> dict[str, Any]:
        left = self._maximum - _ENVELOPE_BYTES
        beside: dict[str, Any] = {key: result[key] for key in ("isError", "resultType") if key in result}
        gone: list[str] = []
        for key, value in result.items():
            if key in _OF_ITS_OWN:
                continue
            length = len(encode({key: value}))
            # Structured content is the whole answer in itself, so it may have half; the rest is about the answer.
            if length <= left // (2 if key == "structuredContent" else 8):
                beside[key] = value
                left -= length
                continue
            gone.append(f"{_plain(key)} of {length:,} bytes")
            if key == "structuredContent":
                # Clients hold a result that is no error against the output schema of its tool.
                beside["isError"] = True
        kept, missing = _blocks(result.get("content"), left)
        missing += gone
        more = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        intact = " The structured content is complete." if "structuredContent" in beside else ""
        note = (
            f"The result was cut by the gateway: it had {size:,} bytes, more than the {self._maximum:,} it may have. "
            f"Missing: {'; '.join(missing[:_NAMED])}{more}.{intact} Ask for less at once."
        )
        return {"content": [*kept, {"type": "text", "text": note}], **beside}


def bounded_error(code: int, message: str, data: Any = None) -> MCPError:
    """A JSON-RPC error of an upstream, as it is where it fits; else without its data and the rest of its message."""
    room = MAX_ERROR_BYTES - len(encode({"": message}))
    length = 0 if data is None else len(encode({"": data}))
    if length <= room:
        return MCPError(code=code, message=message, data=data)
    if room < 0:
        message = f"{_beginning(message, MAX_ERROR_BYTES // 2)} … (cut by the gateway: {len(message):,} characters)"
    note = {"cut": f"The gateway left out the data of this error, which had {length:,} bytes."}
    return MCPError(code=code, message=message, data=None if data is None else note)


def _blocks(content: Any, left: int) -> tuple[list[dict[str, Any]], list[str]]:
    """What of the content fits into `left` bytes, and words for what does not."""
    if not isinstance(content, list):
        return [], [] if content is None else [f"content of {len(encode({'': content})):,} bytes that is no list"]
    kept: list[dict[str, Any]] = []
    gone: list[str] = []
    for block in content:
        length = len(encode({"": block}))
        if not isinstance(block, dict):
            gone.append(f"content of {length:,} bytes that is no block")
        elif length <= left // 2 or (length <= left and block is content[-1]):
            kept.append(block)
            left -= length
        elif block.get("type") == "text" and isinstance(text := block.get("text"), str) and left > _ENVELOPE_BYTES:
            shown = _beginning(text, left - _ENVELOPE_BYTES)
            # Annotations and the like may be as large as a text.
            kept.append({"type": "text", "text": shown})
            left -= len(encode(kept[-1]))
            gone.append(f"a text after its first {len(shown):,} of {len(text):,} characters")
        else:
            gone.append(f"a block of type {_plain(block.get('type'))!r} of {length:,} bytes")
    return kept, gone


def _beginning(text: str, size: int) -> str:
    """As much of the beginning of `text` as takes at most `size` bytes in JSON."""
    shown = text[:size]
    while len(encoded := encode({"": shown})) > size:
        # Escapes and non-ASCII characters take several bytes: shrink in proportion, which ends after a few rounds.
        shown = shown[: min(len(shown) - 1, len(shown) * size // len(encoded))]
    return shown


def _plain(word: object) -> str:
    """A word of the upstream, short and harmless."""
    return re.sub(r"[^A-Za-z0-9_./-]", "?", str(word)[:_NAME_CHARACTERS])
