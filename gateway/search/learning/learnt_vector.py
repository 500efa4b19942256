"""The ranking vector of a tool of which examples are known.

It moves towards the mean of what people say when they mean the tool, at the length that it had: the more examples, the
further, as `n / (n + 1)`. That brings it nearer to much that means something else, and tools that are used would push
aside those that are not. So what it gains where it gains most among background requests, on average over a tenth of
them, is taken from each of its cosines, nearly as a whole. Examples that have nothing in common, as those of a tool
that is called for everything, have a mean that says what everybody says: what they gain is taken from them. The numbers
are those of `python -m bench.learning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.search.ranking import Floats

CORRECTION = 0.9
"""β: how much of what a tool gains over background requests is taken from its cosines, where its examples are many."""

HALF_MOVED = 1.0
"""After so many examples a tool has moved half of the way: λ is n / (n + 1)."""

# Of few examples the gain over background requests is mostly chance.
_HALF_CORRECTED = 0.5
_MOST_GAINED = 0.1
_SMALLEST_LENGTH = 1e-6


@dataclass(frozen=True, slots=True)
class LearntVector:
    """What a tool is ranked by: `vector` float32 (d,), and what is taken from each cosine with it."""

    vector: Floats
    correction: float


@dataclass(frozen=True, slots=True)
class WeightedExample:
    """The vector of an example, float32 (d,), whose direction alone matters, and how much it counts, over 0; a `share`
    under 1 of that moves the tool where one account says more than one may.
    """

    vector: Floats
    weight: float
    share: float = 1.0


def learn_vector(base: Floats, examples: Sequence[WeightedExample], background: Floats) -> LearntVector | None:
    """What `examples` make of a tool with the ranking vector `base`, float32 (d,); None where they say nothing.

    `background` are the vectors of background requests, float32 (n, d).
    """
    length = float(np.linalg.norm(base))
    total = sum(example.weight * example.share for example in examples)
    if length < _SMALLEST_LENGTH or total <= 0:
        return None
    mean = np.sum([_drawn(example) for example in examples], axis=0, dtype=np.float32)
    size = float(np.linalg.norm(mean))
    if size < _SMALLEST_LENGTH:
        return None
    moved = base / length + total / (total + HALF_MOVED) * mean / size
    vector = (moved * (length / max(float(np.linalg.norm(moved)), _SMALLEST_LENGTH))).astype(np.float32)
    gains = np.sort(background @ (vector - base))[-max(1, round(_MOST_GAINED * len(background))) :]
    # It is by the number of texts, not by who says them, that chance goes out of what is gained.
    texts = sum(example.weight for example in examples)
    correction = CORRECTION * texts / (texts + _HALF_CORRECTED) * max(float(gains.mean()), 0.0)
    return LearntVector(vector, correction)


def _drawn(example: WeightedExample) -> Floats:
    # Of a query that a model reads less well it may be longer than 1.
    length = max(float(np.linalg.norm(example.vector)), _SMALLEST_LENGTH)
    return example.weight * example.share / length * example.vector
