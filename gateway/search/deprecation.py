"""Tools that say of themselves that they are deprecated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.search.index.tool_card import ToolCard
from gateway.search.request import Match

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


def is_deprecated(card: ToolCard) -> bool:
    """Whether title, annotations or the first words of the description say so."""
    beginning = card.description[:_READ_CHARACTERS]
    if _SAID_FIRST.match(beginning) or _SAID_OF_ITSELF.search(beginning):
        return True
    title = (card.title or "")[:_READ_CHARACTERS]
    if _SAID_FIRST.match(title) or _SAID_AT_THE_END.search(title):
        return True
    if card.annotations_json is None or "deprecated" not in card.annotations_json:
        return False
    annotations = json.loads(card.annotations_json)
    return isinstance(annotations, dict) and annotations.get("deprecated") is True


def living_first(matches: Sequence[Match], cards: Mapping[int, ToolCard]) -> list[Match]:
    """`matches`, best first, where deprecated tools have changed places with living ones of the same server.

    A place keeps its score: no score contradicts the order.
    """
    places: dict[int, list[int]] = {}
    for place, match in enumerate(matches):
        card = cards.get(match.tool_id)
        if card is not None and not match.is_named:
            places.setdefault(card.server_id, []).append(place)
    ordered = list(matches)
    for of_server in places.values():
        living = [place for place in of_server if not is_deprecated(cards[matches[place].tool_id])]
        if len(living) in (0, len(of_server)):
            continue
        deprecated = [place for place in of_server if place not in set(living)]
        for place, source in zip(of_server, (*living, *deprecated), strict=True):
            ordered[place] = replace(matches[source], score=matches[place].score)
    return ordered
