"""Presidio as a plugin, where it is installed: it finds names, places and much else that has no form of its own.

It needs `presidio-analyzer` and a model of spaCy beside the gateway. Settings of the rule: `language` ("en"), `model`
("en_core_web_sm"), `entities` (all that Presidio knows of the language) and `score` (0.5), how certain it has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.guards.content import Content, GuardedUse
from gateway.sensitive_text.masked import Masked, TextSpan, mask_spans

_MIN_CHARACTERS = 3
_MAX_CHARACTERS = 1_000_000


def make_guard(settings: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What judges content by what Presidio finds in its texts. Raises ImportError where that is not installed."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    language = str(settings.get("language", "en"))
    models = [{"lang_code": language, "model_name": str(settings.get("model", "en_core_web_sm"))}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
    entities = settings.get("entities")
    score = float(settings.get("score", 0.5))

    # The first text takes many times as long as the others, and is none of a call's.
    analyzer.analyze(text="someone@example.com", language=language)

    def mask(text: str) -> Masked:
        if len(text) < _MIN_CHARACTERS:
            return Masked(text)
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"a text has more than {_MAX_CHARACTERS:,} characters")
        found = analyzer.analyze(text=text, language=language, entities=entities, score_threshold=score)
        return mask_spans(text, [TextSpan(each.start, each.end, each.entity_type) for each in found])

    def judge(question: Mapping[str, Any]) -> dict[str, Any]:
        use = GuardedUse(0, (), "", question["subject"], 0, question["server"], question["name"])
        changed, counts = Content(use, question["stage"], question["content"]).masked(mask)
        return {"verdict": "change", "content": changed} if counts else {"verdict": "allow"}

    return judge
