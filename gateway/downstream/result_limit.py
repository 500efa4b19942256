"""The largest result that is passed on whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.downstream.serialized import Serialized
from gateway.json_codec import encode

MAX_ERROR_BYTES = 64 * 1024
"""How large message and data of an upstream's JSON-RPC error may be together, in bytes of JSON."""

# What the result has around its content, with room to spare.
_ENVELOPE_BYTES = 512
_NAMED = 5
_NAME_CHARACTERS = 40
_OF_ITS_OWN = ("content", "isError", "resultType")
_STRUCTURED = "structuredContent"
# Results have a handful of members; to weigh each of very many would take longer than to read them.
_MEMBERS = 64
# Blocks are weighed together where they fit together, for to encode many small ones one by one takes long.
_TOGETHER = 1_000


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
        missing = _Missing()
        others = [key for key in result if key not in _OF_ITS_OWN and key != _STRUCTURED]
        for key in [*([_STRUCTURED] if _STRUCTURED in result else ()), *others[:_MEMBERS]]:
            length = len(encode({key: result[key]}))
            # Structured content is the whole answer in itself, so it may have half; the rest is about the answer.
            if length <= left // (2 if key == _STRUCTURED else 8):
                beside[key] = result[key]
                left -= length
                continue
            missing.add(f"{_plain(key)} of {length:,} bytes")
            if key == _STRUCTURED:
                # Clients hold a result that is no error against the output schema of its tool.
                beside["isError"] = True
        missing.count += len(others[_MEMBERS:])
        kept = _blocks(result.get("content"), left, missing)
        intact = " The structured content is complete." if _STRUCTURED in beside else ""
        note = (
            f"The result was cut by the gateway: it had {size:,} bytes, more than the {self._maximum:,} it may have. "
            f"Missing: {missing}.{intact} Ask for less at once."
        )
        return {"content": [*kept, {"type": "text", "text": note}], **beside}


class _Missing:
    """What a cut result lacks: words for the first few things, and how many there are in all."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    @property
    def is_named(self) -> bool:
        """Whether nothing more is put in words."""
        return len(self._named) == _NAMED

    def add(self, words: str | Callable[[], str]) -> None:
        """One thing more; words that take long to find are asked for only where they are said."""
        self.count += 1
        if not self.is_named:
            self._named.append(words if isinstance(words, str) else words())

    def __str__(self) -> str:
        more = self.count - len(self._named)
        return "; ".join(self._named) + (f"; and {more:,} more" if more else "")


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


def _blocks(content: Any, left: int, missing: _Missing) -> list[dict[str, Any]]:
    """What of the content fits into `left` bytes; what does not is added to `missing`."""
    if not isinstance(content, list):
        if content is not None:
            missing.add(f"content of {len(encode({'': content})):,} bytes that is no list")
        return []
    kept: list[dict[str, Any]] = []
    together = len(content) > _TOGETHER
    for start in range(0, len(content), _TOGETHER):
        if missing.is_named and left <= _ENVELOPE_BYTES:
            missing.count += len(content) - start
            break
        some = content[start : start + _TOGETHER]
        blocks = [block for block in some if isinstance(block, dict)]
        if missing.is_named:
            missing.count += len(some) - len(blocks)
            some = blocks
        if together and len(blocks) == len(some) and (length := len(encode(blocks))) <= left // 2:
            kept += blocks
            left -= length
            continue
        for block in some:
            left -= _block(block, left, missing, kept, is_last=block is content[-1])
    return kept


def _block(block: Any, left: int, missing: _Missing, kept: list[dict[str, Any]], *, is_last: bool) -> int:
    """Keep what of one block may have of `left` bytes. Returns how many bytes it has now."""
    if not isinstance(block, dict):
        missing.add(lambda: f"content of {len(encode({'': block})):,} bytes that is no block")
        return 0
    if missing.is_named and left <= _ENVELOPE_BYTES:
        missing.count += 1
        return 0
    length = len(encode({"": block}))
    if length <= left // 2 or (length <= left and is_last):
        kept.append(block)
        return length
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str) or left <= _ENVELOPE_BYTES:
        missing.add(lambda: f"a block of type {_plain(block.get('type'))!r} of {length:,} bytes")
        return 0
    shown = _beginning(text, left - _ENVELOPE_BYTES)
    # Annotations and the like may be as large as a text.
    kept.append({"type": "text", "text": shown})
    missing.add(f"a text after its first {len(shown):,} of {len(text):,} characters")
    return len(encode(kept[-1]))


def _beginning(text: str, size: int) -> str:
    """As much of the beginning of `text` as takes at most `size` bytes in JSON."""
    shown = text[:size]
    while len(encoded := encode({"": shown})) > size:
        # Escapes and non-ASCII characters take several bytes: shrink in proportion, which ends after a few rounds.
        shown = shown[: min(len(shown) - 1, len(shown) * size // len(encoded))]
    return shown


def _plain(word: object) -> str:
    """A word of the upstream, short and harmless."""
    return re.sub(r"[^A-Za-z0-9_./-]", "?", word[:_NAME_CHARACTERS]) if isinstance(word, str) else "?"
