"""Which language a query is in: by its script where that tells, else by how it is spelt."""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ANY_LANGUAGE = "*"
"""In place of a language: all that are not named elsewhere, and queries in several."""

_ENGLISH = "en"
# Scripts by the first word of their characters' names, with the languages that are written in them.
_SCRIPTS = {
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "HALFWIDTH KATAKANA": ("ja",),
    "CJK": ("zh", "ja"),
    "HANGUL": ("ko",),
    "CYRILLIC": ("ru", "uk", "bg", "sr", "mk", "be", "kk", "ky", "mn"),
    "ARABIC": ("ar", "fa", "ur", "ps", "ug"),
    "HEBREW": ("he",),
    "GREEK": ("el",),
    "THAI": ("th",),
    "LAO": ("lo",),
    "KHMER": ("km",),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "BENGALI": ("bn", "as"),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "SINHALA": ("si",),
    "GEORGIAN": ("ka",),
    "ARMENIAN": ("hy",),
    "ETHIOPIC": ("am",),
}
# What a query in Latin letters is told from; more of them are mistaken for each other the more there are.
_LATIN_LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "no", "da", "fi", "cs", "sk", "sl", "hr", "ro", "hu"),
    *("tr", "id", "vi", "et", "lv", "lt"),
)
# A query with fewer letters, or of fewer words, may be a name in any language.
_MIN_LETTERS, _MIN_WORDS = 12, 2
_MIN_PROBABILITY = 0.7
# Of several scripts those count that have so large a share of the letters; one sign stands for a short word.
_MIN_SHARE = 0.15
_READ_CHARACTERS = 500


class LanguageDetector:
    """Tells the languages of queries from each other, as far as any of `languages` is among them."""

    def __init__(self, languages: Collection[str]) -> None:
        self._languages = frozenset(languages) - {ANY_LANGUAGE}
        self._lock = threading.Lock()

    def detect(self, text: str) -> tuple[str, ...]:
        """The languages of `text` as two-letter codes, the one of most letters first; English where nothing speaks for
        another.
        """
        scripts = _scripts_of(text[:_READ_CHARACTERS])
        found = []
        for script in scripts:
            language = self._latin(text[:_READ_CHARACTERS]) if script == "LATIN" else self._of_script(script, text)
            if language not in found:
                found.append(language)
        return tuple(found) or (_ENGLISH,)

    def _of_script(self, script: str, text: str) -> str:
        languages = _SCRIPTS[script]
        wanted = [language for language in languages if language in self._languages]
        if len(wanted) < 2:
            return wanted[0] if wanted else languages[0]
        if script == "CJK":
            # Kana is what tells Japanese from Chinese, and then stands first.
            return "zh"
        return self._spelt(text, languages)[0]

    def _latin(self, text: str) -> str:
        wanted = self._languages.intersection(_LATIN_LANGUAGES) - {_ENGLISH}
        letters = sum(character.isalpha() for character in text)
        if not wanted or letters < _MIN_LETTERS or len(text.split()) < _MIN_WORDS:
            return _ENGLISH
        language, probability = self._spelt(text.lower(), _LATIN_LANGUAGES)
        return language if probability >= _MIN_PROBABILITY else _ENGLISH

    def _spelt(self, text: str, languages: Sequence[str]) -> tuple[str, float]:
        """Which of these languages `text` is likely to be in, and how likely."""
        with self._lock:
            identifier = self._identifier
            identifier.set_languages([language for language in languages if language in self._known])
            language, probability = identifier.classify(text)
            return str(language), float(probability)

    @cached_property
    def _identifier(self) -> LanguageIdentifier:
        """It takes two seconds and 100 MB, and many routes do without it."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    @cached_property
    def _known(self) -> frozenset[str]:
        """What it tells apart; it keeps only those that it was last asked for."""
        identifier = self._identifier
        identifier.set_languages()
        return frozenset(identifier.labels)


def _scripts_of(text: str) -> list[str]:
    """The scripts of the letters of `text`, that of the most first, without those of single signs in between."""
    counts: Counter[str] = Counter()
    for character in text:
        if character.isalpha():
            name = unicodedata.name(character, "")
            script = next((each for each in _SCRIPTS if name.startswith(each)), "LATIN")
            # A sign of these says as much as a short word.
            counts[script] += 3 if script in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else 1
    total = sum(counts.values())
    scripts = [script for script, count in counts.most_common() if count >= _MIN_SHARE * total]
    kana = [script for script in scripts if _SCRIPTS.get(script) == ("ja",)]
    if kana and "CJK" in scripts:
        # Chinese is never written with kana, Japanese always with Chinese signs.
        scripts.remove("CJK")
    return scripts
