"""Engines of language, which here only know their models' names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Engine:
    models: list[dict[str, str]]


class NlpEngineProvider:
    def __init__(self, *, nlp_configuration: dict[str, Any]) -> None:
        assert nlp_configuration["nlp_engine_name"] == "spacy"
        self._models = nlp_configuration["models"]

    def create_engine(self) -> Engine:
        return Engine(self._models)
