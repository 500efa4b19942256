"""How much of a tool's score its examples have made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gateway.database.pool import Database
from gateway.search.query_result import QueryResult
from gateway.search.ranking import CosineBaseline, Floats, Signals, rank
from gateway.search.score import scores_of


@dataclass(frozen=True, slots=True)
class LearntEffect:
    """So many `examples` have changed a tool's score by `score`, which is less than 0 where they sank it."""

    examples: int
    score: float


async def learnt_effects(
    database: Database, tenant_id: int, result: QueryResult, tool_ids: Collection[int], baseline: CosineBaseline | None
) -> Mapping[int, LearntEffect]:
    """Of those of `tool_ids` of which something is learnt; none for a query without vectors. Without `baseline` the
    score is the cosine.
    """
    signals = result.signals
    if result.vectors is None or signals.cosines is None or not tool_ids:
        return {}
    rows = await database.fetch("learnt_tools", tenant_id, result.vectors.stored.id, list(tool_ids))
    asked = result.vectors.vectors[: len(signals.cosines)]
    scores = _scores(signals, baseline)
    effects = {}
    for row in rows:
        position = result.position_of(row["tool_id"])
        if position is None:
            continue
        cosines = signals.cosines.copy()
        cosines[:, position] = asked @ row["ranking_embedding"].to_numpy().astype(np.float32)
        without = _scores(replace(signals, cosines=cosines), baseline)
        effects[row["tool_id"]] = LearntEffect(row["examples"], float(scores[position] - without[position]))
    return effects


def _scores(signals: Signals, baseline: CosineBaseline | None) -> Floats:
    if baseline is not None:
        return scores_of(signals, rank(signals, baseline), baseline)
    assert signals.cosines is not None
    cosines: Floats = np.clip(np.nan_to_num(signals.cosines[0]), 0.0, 1.0)
    return cosines
