"""Texts that are nearly right: pieces of a seed repeated, cut out, or replaced by what parsers stumble over."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_STUMBLING_BLOCKS = (
    *("", "\x00", "\ud800", "\ufeff", "\u202e", "[" * 300, "{" * 300, "]", "}", '"', "'", "\\", "\\u0000", "\\ud800"),
    *("NaN", "1e999", "-0", "9" * 400, "null", "true", "{}", "[]", '""', "\r\n\r\n", "\n\n", "data:", "event:", ": "),
    *("$ref", "#/", "&a", "*a", "<<: ", "!!python/object:os.system", "${X}", "${", "%00", "../", "a" * 3000, "é" * 50),
)


@st.composite
def mangled_texts(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """One of `seeds` after up to eight changes."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(_STUMBLING_BLOCKS) | st.text(max_size=5) | st.just(text[start:end] * 3))
        text = text[:start] + piece + text[end:]
    return text


def mangled_bytes(seeds: Sequence[str]) -> st.SearchStrategy[bytes]:
    """The same in UTF-8, halves of surrogate pairs included, or bytes that are no text at all."""
    return mangled_texts(seeds).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=400)
