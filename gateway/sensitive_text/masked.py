"""A text in which something was masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.masking import MASK


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without what was looked for in it; `counts` says how often what was there, by its kind."""

    text: str
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many spans are masked."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Where in a text something of a kind stands: from the character `start` up to `end`."""

    start: int
    end: int
    kind: str


def mask_spans(text: str, spans: Iterable[TextSpan]) -> Masked:
    """`text` with the mask in each of `spans`; those that overlap have one for both, counted as what begins first."""
    pieces: list[str] = []
    counts: dict[str, int] = {}
    at = 0
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if span.start < at:
            # What reaches further than the one before it is hidden to its own end.
            at = max(at, span.end)
            continue
        pieces += [text[at : span.start], MASK]
        at = span.end
        counts[span.kind] = counts.get(span.kind, 0) + 1
    return Masked("".join([*pieces, text[at:]]) if pieces else text, counts)
