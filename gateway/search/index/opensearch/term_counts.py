"""In how many tools of a scope terms stand, kept for as long as the cluster is found to hold the same tools there."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from cachetools import TTLCache

# What somebody else does to documents shows in no version of the catalogue: nothing is believed for longer.
_SECONDS = 60.0
_MAX_SCOPES = 200
_MAX_TERMS = 2_000


@dataclass(frozen=True, slots=True)
class ScopeCorpus:
    """The tools in scope as the cluster has them: how many, how long on average, at which version of the catalogue."""

    tools: int
    mean_length: float
    version: int


@dataclass(frozen=True, slots=True)
class _Counts:
    corpus: ScopeCorpus
    frequencies: dict[str, int]


class TermCounts:
    """By scope; nothing is asked of the cluster here."""

    def __init__(self) -> None:
        self._counts: TTLCache[Hashable, _Counts] = TTLCache(_MAX_SCOPES, _SECONDS)

    def known(self, scope: Hashable, corpus: ScopeCorpus | None = None) -> Mapping[str, int]:
        """The frequencies by term; with `corpus` only those that were counted among these tools."""
        counts = self._counts.get(scope)
        return {} if counts is None or corpus not in (None, counts.corpus) else counts.frequencies

    def add(self, scope: Hashable, corpus: ScopeCorpus, frequencies: Mapping[str, int]) -> None:
        """Keep what was counted among these tools, in place of what was among others."""
        counts = self._counts.get(scope)
        if counts is None or counts.corpus != corpus or len(counts.frequencies) + len(frequencies) > _MAX_TERMS:
            self._counts[scope] = _Counts(corpus, dict(frequencies))
        else:
            # What is put in anew would be kept for as long again.
            counts.frequencies.update(frequencies)
