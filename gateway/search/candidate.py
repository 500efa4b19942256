"""A tool that may answer a query, with all that the database measured of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One visible tool of one query.

    `combined`, `name` and `description` are the cosines (-1…1) between the query and the vectors of those texts, None
    where there is no such vector; `lexical` is the tool's BM25 (0 or more; 0 where no word of the query stands in it).
    """

    tool_id: int
    combined: float | None
    name: float | None
    description: float | None
    lexical: float
