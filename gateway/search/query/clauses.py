"""The clauses of a task: what a long query asks for, step by step."""

from __future__ import annotations

import re

# A run is not read again from each of its characters, which takes long for a long one.
_BREAKS = re.compile(r"[.;!?]\s+|[\n\r]|,\s+(?:and |then |or )?|\s{1,20}(?:and then|and|then)\s+|[。．；！？、，]")
_MIN_WORDS, _MIN_CJK_CHARACTERS = 2, 2
# Chinese, Japanese and Korean: a character or two are a word, with no blank after it.
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]")
_MAX_CLAUSES = 8


def clauses_of(query: str) -> tuple[str, ...]:
    """The clauses of `query`, at most eight, in their order; empty where it has fewer than two.

    What is shorter than two words, or two characters in Chinese, Japanese and Korean, says nothing by itself and is
    left out.
    """
    parts = (part.strip(" \t\n.,;!?-*•") for part in _BREAKS.split(query))
    clauses = tuple(part for part in parts if _says_something(part))[:_MAX_CLAUSES]
    return clauses if len(clauses) > 1 else ()


def _says_something(part: str) -> bool:
    return len(part.split()) >= _MIN_WORDS or len(_CJK.findall(part)) >= _MIN_CJK_CHARACTERS
