"""What a cosine means in an embedding space, learnt from the catalogue itself.

A raw cosine says nothing by itself: unrelated texts lie near 0.05 in one space and near 0.5 in another. A catalogue
holds its own yardstick, without a labelled query: a tool's name is a short text whose right answer is known, its own
description, and nearly every other tool is a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMBINED_WEIGHT, NAME_WEIGHT, DESCRIPTION_WEIGHT = 0.4, 0.3, 0.3
"""How much each of a tool's three cosines counts."""

_SAMPLE = 500
# Two tools whose descriptions are this near are one tool, offered by two servers.
_SAME_TOOL = 0.98
# A description that only repeats the name has no answer to give.
_SAME_TEXT = 0.999
# On LiveMCPBench's tools a name lies 0.46 of the way from unrelated (the mean) to identical (1) towards its own
# description, and 4.5 standard deviations of unrelated pairs above their mean. The first held within a tenth, the
# second between 3.2 and 4.8, for wordllama in 256 and 64 dimensions, whitened, and pulled to one direction.
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


def calibrate(
    names: NDArray[np.float32],
    descriptions: NDArray[np.float32],
    combined: NDArray[np.float32],
    queries: NDArray[np.float32] | None = None,
) -> Calibration:
    """Learn a space from vectors of the catalogue's tools.

    The first three have shape (n, d), one row a tool, each row of length 1, or zeros or NaN where there is no vector;
    of more than 500 tools an even sample is taken. A model that embeds queries and documents differently shifts all
    cosines between the two, so for such a model `queries` has to be given: shape (m, d), m <= n, the names of the first
    m tools embedded as queries; 100 of them are plenty where the tools stand in no order. The result is always the same
    for the same vectors; of an empty catalogue it is the assumed values. Raises ValueError where the shapes do not fit.
    """
    if names.ndim != 2 or not names.shape == descriptions.shape == combined.shape:
        raise ValueError("The vectors of names, descriptions and combined texts have different shapes.")
    if queries is not None and (queries.ndim != 2 or len(queries) > len(names) or queries.shape[1] != names.shape[1]):
        raise ValueError("The vectors of queries do not fit those of the tools.")
    tools = _distinct(descriptions, _complete(_even(len(names)), names, descriptions, combined))
    if queries is None:
        queries, askers = names, tools
    else:
        askers = _complete(_even(len(queries)), queries, names, descriptions, combined)
    if len(tools) == 0 or len(askers) == 0:
        return Calibration()

    own_descriptions = descriptions[askers]
    unrelated = (askers[:, None] != tools[None, :]) & (own_descriptions @ descriptions[tools].T < _SAME_TOOL)
    cosines = [(queries[askers] @ vectors[tools].T)[unrelated] for vectors in (combined, names, descriptions)]
    answers = np.sum(queries[askers] * own_descriptions, axis=1)
    answers = answers[np.sum(names[askers] * own_descriptions, axis=1) < _SAME_TEXT]
    own = float(np.median(answers)) if len(answers) else None
    means = _means(cosines, own)
    weighted = COMBINED_WEIGHT * cosines[0] + NAME_WEIGHT * cosines[1] + DESCRIPTION_WEIGHT * cosines[2]
    return Calibration(*means, unit=_unit(weighted, own, len(answers), means))


def _even(rows: int) -> NDArray[np.intp]:
    """At most 500 of so many rows, ascending."""
    return np.unique(np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.intp))


def _complete(rows: NDArray[np.intp], *kinds: NDArray[np.float32]) -> NDArray[np.intp]:
    """Those of `rows` that have a vector of every kind."""
    complete = np.ones(len(rows), dtype=np.bool_)
    for vectors in kinds:
        complete &= np.isfinite(vectors[rows]).all(axis=1) & (vectors[rows] != 0).any(axis=1)
    return rows[complete]


def _distinct(descriptions: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """`rows` without each tool whose description an earlier one has."""
    earlier = np.tril(descriptions[rows] @ descriptions[rows].T >= _SAME_TOOL, -1)
    distinct: NDArray[np.intp] = rows[~earlier.any(axis=1)]
    return distinct


def _means(unrelated: list[NDArray[np.float32]], own: float | None) -> tuple[float, float, float]:
    """The mean cosine of unrelated pairs for combined text, name and description.

    Medians, for many pairs of one server are related; drawn to what the names' own descriptions let expect.
    """
    expected = _ASSUMED_MEAN if own is None else max((own - _OWN_SHARE) / (1 - _OWN_SHARE), 0.0)
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
