"""Tools that say of themselves that they are deprecated."""

from __future__ import annotations

import json
import re

# At the very beginning of a description or title: a tool that handles deprecated things is not deprecated itself.
_SAID_FIRST = re.compile(
    r"[\W_]{0,16}(?:(?:warning|caution|important|notice|note)[\W_]{1,8})?"
    r"(?:(?:deprecated|obsolete|do not use|no longer supported)(?![^\W_])|legacy\s{0,4}[:\])])",
    re.IGNORECASE,
)
_SAID_OF_ITSELF = re.compile(
    r"(?:^|[.:!?\n])[\W_]{0,16}(?:this|the) (?:tool|function|method|endpoint|action|operation|command) "
    r"(?:is|was|has been) (?:now )?[\W_]{0,4}(?:deprecated|obsolete|no longer supported)(?![^\W_])",
    re.IGNORECASE,
)
_SAID_AT_THE_END = re.compile(
    r"[(\[{](?:deprecated|obsolete|legacy)(?![^\W_])[^()\[\]{}]{0,80}[)\]}]\s{0,4}$", re.IGNORECASE
)
_READ_CHARACTERS = 1_000


def says_deprecated(title: str | None, description: str, annotations_json: str | None) -> bool:
    """Whether title, annotations or the first words of the description say so."""
    beginning = description[:_READ_CHARACTERS]
    if _SAID_FIRST.match(beginning) or _SAID_OF_ITSELF.search(beginning):
        return True
    if title is not None:
        title = title[:_READ_CHARACTERS]
        if _SAID_FIRST.match(title) or _SAID_AT_THE_END.search(title):
            return True
    if annotations_json is None or "deprecated" not in annotations_json:
        return False
    annotations = json.loads(annotations_json)
    return isinstance(annotations, dict) and annotations.get("deprecated") is True
