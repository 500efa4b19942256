"""The largest result that is passed on whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.downstream.serialized_result import SerializedResult
from gateway.json_codec import encode

MAXIMUM_ERROR_BYTES = 64 * 1024
"""How large message and data of an upstream's JSON-RPC error may be together, in bytes of JSON."""

# What the result has around its content, with room to spare.
_OVERHEAD_BYTES = 512
_KEPT_NOTE_BYTES = 256
_MAXIMUM_NAMED = 5
_BETWEEN_TEXTS = "\n\n"
_MAXIMUM_NAME_CHARACTERS = 40
_STRUCTURED_CONTENT = "structuredContent"
_CUT_APART = ("content", "isError", "resultType", _STRUCTURED_CONTENT)
# Results have a handful of members; to weigh each of very many would take longer than to read them.
_MAXIMUM_MEMBERS = 64
# Blocks are weighed together where they fit together, for to encode many small ones one by one takes long.
_BATCH_BLOCKS = 1_000


KeepText: TypeAlias = Callable[[str, int], str]
"""Takes a text, and from which character on it is not shown; returns a sentence on how to read on."""


class ResultLimit:
    """Cuts results to at most `maximum_bytes` of JSON, and says in the result what was cut and how large it was.

    With pictures, sounds or files in it a result may have `maximum_binary_bytes` in all, of which its texts may have
    `maximum_bytes`: nothing can be done with a part of a picture.
    """

    def __init__(self, maximum_bytes: int, maximum_binary_bytes: int = 0) -> None:
        self._maximum_bytes = maximum_bytes
        self._maximum_binary_bytes = max(maximum_bytes, maximum_binary_bytes)

    def apply(self, result: dict[str, Any], keep: KeepText | None = None) -> SerializedResult:
        """The result of a tool: untouched where it fits, else one that does, which any client can take.

        `keep` is called with the whole text of a result whose text is cut, and from which character on it is missing;
        what it returns is said in the result.

        Texts are cut, all else is replaced by a note. What is not complete by itself, as a question to the client, is a
        tool error instead: a piece of it is of no use.
        """
        whole, size = _weigh(result)
        if size <= self._maximum_bytes or (size <= self._maximum_binary_bytes and self._may_be_large(result)):
            return whole or SerializedResult.of(result)
        if result.get("resultType", "complete") != "complete":
            return SerializedResult.of(self._too_large_error(result, size))
        return SerializedResult.of(self._cut(result, size, keep))

    def check(self, result: dict[str, Any]) -> SerializedResult:
        """`result` untouched. Raises MCPError where it is too large: a piece of a resource would pass for the whole."""
        whole, size = _weigh(result)
        if size > self._maximum_bytes and (size > self._maximum_binary_bytes or not self._may_be_large(result)):
            raise MCPError(
                code=INTERNAL_ERROR,
                message=f"The result has {size:,} bytes, more than the {self._maximum_bytes:,} that the gateway "
                "passes on; raise mcp.max_result_bytes, or ask for less.",
                data={"bytes": size, "maximum": self._maximum_bytes},
            )
        return whole or SerializedResult.of(result)

    def _may_be_large(self, result: dict[str, Any]) -> bool:
        """Whether it is what cannot be cut that makes a result large."""
        content = result.get("content", result.get("contents"))
        blocks = content if isinstance(content, list) else []
        texts = [block for block in blocks if not is_binary(block)]
        # Structured content often says a picture once more.
        return len(texts) < len(blocks) and len(encode(texts)) <= self._maximum_bytes - _OVERHEAD_BYTES

    def _too_large_error(self, result: dict[str, Any], size: int) -> dict[str, Any]:
        kind = _sanitize(result["resultType"])
        text = (
            f"The server answered with {kind} of {size:,} bytes, more than the {self._maximum_bytes:,} that the "
            "gateway passes on; ask it for less, or raise mcp.max_result_bytes."
        )
        return {"content": [{"type": "text", "text": text}], "isError": True, "resultType": "complete"}

    def _cut(self, result: dict[str, Any], size: int, keep: KeepText | None) -> dict[str, Any]:
        left = self._maximum_bytes - _OVERHEAD_BYTES - (_KEPT_NOTE_BYTES if keep is not None else 0)
        beside: dict[str, Any] = {key: result[key] for key in ("isError", "resultType") if key in result}
        missing = _MissingParts()
        others = [key for key in result if key not in _CUT_APART]
        structured = [_STRUCTURED_CONTENT] if _STRUCTURED_CONTENT in result else []
        for key in [*structured, *others[:_MAXIMUM_MEMBERS]]:
            length = len(encode({key: result[key]}))
            # Structured content is the whole answer in itself, so it may have half; the rest is about the answer.
            if length <= left // (2 if key == _STRUCTURED_CONTENT else 8):
                beside[key] = result[key]
                left -= length
                continue
            missing.add(f"{_sanitize(key)} of {length:,} bytes")
            if key == _STRUCTURED_CONTENT:
                # Clients hold a result that is no error against the output schema of its tool.
                beside["isError"] = True
        missing.count += len(others[_MAXIMUM_MEMBERS:])
        fitting = _fit_content(result.get("content"), left, self._maximum_binary_bytes - self._maximum_bytes, missing)
        intact = " The structured content is complete." if _STRUCTURED_CONTENT in beside else ""
        note = (
            f"The result was cut by the gateway: it had {size:,} bytes, more than the {self._maximum_bytes:,} it may "
            f"have. Missing: {missing}.{intact} Ask for less at once."
        )
        if keep is not None and (beyond := _cut_text(result.get("content"), fitting)) is not None:
            note += f" {keep(*beyond)}"
        return {"content": [*fitting, {"type": "text", "text": note}], **beside}


class _MissingParts:
    """What a cut result lacks: words for the first few parts, and how many there are in all."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether no further part is put in words."""
        return len(self._named) == _MAXIMUM_NAMED

    def add(self, words: str | Callable[[], str]) -> None:
        """One part more; words that take long to find are asked for only where they are said."""
        self.count += 1
        if not self.is_full:
            self._named.append(words if isinstance(words, str) else words())

    def __str__(self) -> str:
        more = self.count - len(self._named)
        return "; ".join(self._named) + (f"; and {more:,} more" if more else "")


def bounded_error(code: int, message: str, data: Any = None) -> MCPError:
    """A JSON-RPC error of an upstream, as it is where it fits; else without its data and the rest of its message."""
    room = MAXIMUM_ERROR_BYTES - len(encode({"": message}))
    length = 0 if data is None else len(encode({"": data}))
    if length <= room:
        return MCPError(code=code, message=message, data=data)
    if room < 0:
        message = f"{truncate(message, MAXIMUM_ERROR_BYTES // 2)} … (cut by the gateway: {len(message):,} characters)"
    note = {"cut": f"The gateway left out the data of this error, which had {length:,} bytes."}
    return MCPError(code=code, message=message, data=None if data is None else note)


def _weigh(result: dict[str, Any]) -> tuple[SerializedResult | None, int]:
    """How many bytes a result has in JSON, and the result as these where finding out has made them."""
    if len(result) > _MAXIMUM_MEMBERS:
        return None, len(encode(result))
    whole = SerializedResult.of(result)
    return whole, len(whole.to_json())


def is_binary(block: Any) -> bool:
    """Whether a block of content, or a resource, is a picture, a sound or a file."""
    if not isinstance(block, dict):
        return False
    if isinstance(block.get("blob"), str):
        return True
    if block.get("type") in ("image", "audio"):
        return isinstance(block.get("data"), str)
    resource = block.get("resource")
    return block.get("type") == "resource" and isinstance(resource, dict) and isinstance(resource.get("blob"), str)


def _fit_content(content: Any, left: int, left_binary: int, missing: _MissingParts) -> list[dict[str, Any]]:
    """What of the content fits into `left` bytes, beside pictures and the like of `left_binary` bytes; what does not is
    added to `missing`.
    """
    if not isinstance(content, list):
        if content is not None:
            missing.add(f"content of {len(encode({'': content})):,} bytes that is no list")
        return []
    fitting: list[dict[str, Any]] = []
    in_batches = len(content) > _BATCH_BLOCKS
    for start in range(0, len(content), _BATCH_BLOCKS):
        if missing.is_full and left <= _OVERHEAD_BYTES:
            missing.count += len(content) - start
            break
        batch = content[start : start + _BATCH_BLOCKS]
        blocks = [block for block in batch if isinstance(block, dict)]
        if missing.is_full:
            missing.count += len(batch) - len(blocks)
            batch = blocks
        if in_batches and len(blocks) == len(batch) and (length := len(encode(blocks))) <= left // 2:
            fitting += blocks
            left -= length
            continue
        for block in batch:
            if left_binary > 0 and is_binary(block) and (length := len(encode({"": block}))) <= left_binary:
                fitting.append(block)
                left_binary -= length
                continue
            left -= _fit_block(block, left, missing, fitting, is_last=block is content[-1])
    return fitting


def _fit_block(block: Any, left: int, missing: _MissingParts, fitting: list[dict[str, Any]], *, is_last: bool) -> int:
    """Add to `fitting` what of one block may have of `left` bytes. Returns how many bytes it has now."""
    if not isinstance(block, dict):
        missing.add(lambda: f"content of {len(encode({'': block})):,} bytes that is no block")
        return 0
    if missing.is_full and left <= _OVERHEAD_BYTES:
        missing.count += 1
        return 0
    length = len(encode({"": block}))
    if length <= left // 2 or (length <= left and is_last):
        fitting.append(block)
        return length
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str) or left <= _OVERHEAD_BYTES:
        missing.add(lambda: f"a block of type {_sanitize(block.get('type'))!r} of {length:,} bytes")
        return 0
    shown = truncate(text, left - _OVERHEAD_BYTES)
    # Annotations and the like may be as large as a text.
    fitting.append({"type": "text", "text": shown})
    missing.add(f"a text after its first {len(shown):,} of {len(text):,} characters")
    return len(encode(fitting[-1]))


def _cut_text(content: Any, shown: Sequence[dict[str, Any]]) -> tuple[str, int] | None:
    """The texts of a result as one, and how much of that is shown; None where all is."""
    blocks = content if isinstance(content, list) else []
    texts = [text for block in blocks if isinstance(block, dict) and isinstance(text := block.get("text"), str)]
    left = [block["text"] for block in shown if isinstance(block.get("text"), str)]
    whole, offset = _BETWEEN_TEXTS.join(texts), 0
    for text in texts:
        if not left or left[0] != text:
            return whole, offset + (len(left[0]) if left and text.startswith(left[0]) else 0)
        offset += len(left.pop(0)) + len(_BETWEEN_TEXTS)
    return None


def truncate(text: str, size: int) -> str:
    """As much of the beginning of `text` as takes at most `size` bytes in JSON."""
    shown = text[:size]
    while len(encoded := encode({"": shown})) > size:
        # Escapes and non-ASCII characters take several bytes: shrink in proportion, which ends after a few rounds.
        shown = shown[: min(len(shown) - 1, len(shown) * size // len(encoded))]
    return shown


def _sanitize(word: object) -> str:
    """A word of the upstream, short and harmless."""
    return re.sub(r"[^A-Za-z0-9_./-]", "?", word[:_MAXIMUM_NAME_CHARACTERS]) if isinstance(word, str) else "?"
