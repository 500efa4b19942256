"""What a cosine means in an embedding space, learnt from the catalogue itself.

A raw cosine says nothing by itself: unrelated texts lie near 0.05 in one space and near 0.5 in another. A catalogue
holds its own yardstick, without a labelled query: a tool's name is a short text whose right answer is known, its own
description, and nearly every other tool is a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

COMBINED_WEIGHT, NAME_WEIGHT, DESCRIPTION_WEIGHT = 0.4, 0.3, 0.3
"""How much each of a tool's three cosines counts."""

_SAMPLE = 500
# Two tools whose descriptions are this near are one tool, offered by two servers.
_SAME_TOOL = 0.98
# A description that only repeats the name has no answer to give.
_SAME_TEXT = 0.999
# Of wordllama in 64 and 256 dimensions, as it is, whitened, and with all vectors pulled to one direction, a name lies
# 0.46 of the way from unrelated (the mean) to identical (1) towards its own description, and that is 4.5 standard
# deviations of unrelated pairs; both held within a tenth on LiveMCPBench's tools.
_OWN_SHARE = 0.46
_OWN_DEVIATIONS = 4.5
# What is taken for granted of a space of which no tool tells anything.
_ASSUMED_MEAN = 0.05
# How far the distance between name and description may correct the deviation of unrelated pairs.
_LARGEST_CORRECTION = 1.6
# As many observations as these are needed until the catalogue counts as much as what is assumed.
_PAIRS, _TOOLS = 8, 6


@dataclass(frozen=True, slots=True)
class Calibration:
    """How to read the cosines of one embedding space: the mean of unrelated pairs by kind of text, and the unit.

    `unit` is about one standard deviation of the weighted cosine among unrelated pairs.
    """

    combined_mean: float = _ASSUMED_MEAN
    name_mean: float = _ASSUMED_MEAN
    description_mean: float = _ASSUMED_MEAN
    unit: float = (1 - _ASSUMED_MEAN) * _OWN_SHARE / _OWN_DEVIATIONS

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Calibration:
        """The calibration that `as_dict` was taken of. Raises KeyError where a value is missing."""
        return cls(**{field.name: float(values[field.name]) for field in fields(cls)})


def sampled(tools: int) -> NDArray[np.intp]:
    """Which rows of so many tools `calibrate` looks at: ascending, at most 500, always the same."""
    if tools <= _SAMPLE:
        return np.arange(tools)
    return np.unique(np.linspace(0, tools - 1, _SAMPLE).astype(np.intp))


def calibrate(
    names: NDArray[np.float32],
    descriptions: NDArray[np.float32],
    combined: NDArray[np.float32],
    queries: NDArray[np.float32] | None = None,
) -> Calibration:
    """Learn a space from vectors of the catalogue's tools.

    All arrays have shape (n, d), one row a tool, each row of length 1, or zeros or NaN where there is no vector; of
    more than 500 rows, those of `sampled(n)` are used. `queries` are the names once more, embedded as queries, for a
    model that embeds those differently; without it `names` are taken. Needs no order of the rows and no label, takes
    some 50 ms, and gives the assumed values for an empty catalogue. Raises ValueError where the shapes differ.
    """
    asked = names if queries is None else queries
    if not names.shape == descriptions.shape == combined.shape == asked.shape or names.ndim != 2:
        raise ValueError("The vectors to calibrate with have different shapes.")
    rows = sampled(len(names))
    kinds = [np.nan_to_num(vectors[rows].astype(np.float32)) for vectors in (asked, names, descriptions, combined)]
    present = np.all([np.any(vectors != 0, axis=1) for vectors in kinds], axis=0)
    asked, names, descriptions, combined = (vectors[present] for vectors in kinds)
    kept = _distinct(descriptions)
    asked, names, descriptions, combined = asked[kept], names[kept], descriptions[kept], combined[kept]
    if len(asked) == 0:
        return Calibration()

    cosines = [asked @ vectors.T for vectors in (combined, names, descriptions)]
    others = ~np.eye(len(asked), dtype=bool)
    answers = np.diag(cosines[2])[np.sum(names * descriptions, axis=1) < _SAME_TEXT]
    own = float(np.median(answers)) if len(answers) else None
    means = _means([matrix[others] for matrix in cosines], own)
    weighted = COMBINED_WEIGHT * cosines[0] + NAME_WEIGHT * cosines[1] + DESCRIPTION_WEIGHT * cosines[2]
    return Calibration(*means, unit=_unit(weighted[others], own, len(answers), means))


def _distinct(descriptions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """False for each tool that an earlier one has the description of; shape (n,)."""
    earlier = np.tril(descriptions @ descriptions.T > _SAME_TOOL, -1)
    kept: NDArray[np.bool_] = ~earlier.any(axis=1)
    return kept


def _means(unrelated: list[NDArray[np.float32]], own: float | None) -> tuple[float, float, float]:
    """The mean cosine of unrelated pairs for combined text, name and description.

    Medians, for many pairs of one server are related; drawn to what the names' own descriptions let expect.
    """
    expected = _ASSUMED_MEAN if own is None else (own - _OWN_SHARE) / (1 - _OWN_SHARE)
    pairs = len(unrelated[0])
    trust = pairs / (pairs + _PAIRS)
    combined, name, description = (
        trust * (float(np.median(cosines)) if pairs else 0.0) + (1 - trust) * expected for cosines in unrelated
    )
    return combined, name, description


def _unit(unrelated: NDArray[np.float32], own: float | None, tools: int, means: tuple[float, float, float]) -> float:
    """The geometric mean of what unrelated pairs and what names with their own descriptions say of the deviation.

    Either alone misleads: the first grows where many tools are akin, the second shrinks where names tell nothing.
    """
    level = COMBINED_WEIGHT * means[0] + NAME_WEIGHT * means[1] + DESCRIPTION_WEIGHT * means[2]
    assumed = max(1 - level, 0.02) * _OWN_SHARE / _OWN_DEVIATIONS
    pairs = len(unrelated)
    trust = pairs / (pairs + _PAIRS)
    deviation = trust * (float(unrelated.std()) if pairs else 0.0) + (1 - trust) * assumed
    spread = assumed * _OWN_DEVIATIONS if own is None else own - means[2]
    trust = tools / (tools + _TOOLS)
    by_names = trust * spread / _OWN_DEVIATIONS + (1 - trust) * assumed
    bounded = min(max(by_names, deviation / _LARGEST_CORRECTION), deviation * _LARGEST_CORRECTION)
    return max(float(np.sqrt(deviation * bounded)), 1e-4)
