"""Of Presidio what the guard asks for, with two patterns in place of a model: the real one is half a gigabyte."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .nlp_engine import Engine

_PATTERNS = (
    ("PERSON", r"[A-Z][a-z]+ [A-Z][a-z]+", 0.85),
    ("EMAIL_ADDRESS", r"\w+@[\w.]+", 1.0),
    ("PERSON", r"\bEve\b", 0.4),
)


@dataclass(frozen=True, slots=True)
class RecognizerResult:
    entity_type: str
    start: int
    end: int
    score: float


class AnalyzerEngine:
    def __init__(self, *, nlp_engine: Engine, supported_languages: list[str]) -> None:
        assert [model["lang_code"] for model in nlp_engine.models] == supported_languages
        self._languages = supported_languages

    def analyze(
        self, text: str, language: str, entities: list[str] | None = None, score_threshold: float | None = None
    ) -> list[RecognizerResult]:
        assert language in self._languages
        return [
            RecognizerResult(entity, found.start(), found.end(), score)
            for entity, pattern, score in _PATTERNS
            for found in re.finditer(pattern, text)
            if (entities is None or entity in entities) and score >= (score_threshold or 0)
        ]
