"""Tools that give way to others of their server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.search.index.tool_card import ToolCard
from gateway.search.request import Match


def demote_deprecated(matches: Sequence[Match], cards: Mapping[int, ToolCard]) -> list[Match]:
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
        living = [place for place in of_server if not cards[matches[place].tool_id].is_deprecated]
        if len(living) in (0, len(of_server)):
            continue
        deprecated = [place for place in of_server if place not in set(living)]
        for place, source in zip(of_server, (*living, *deprecated), strict=True):
            ordered[place] = replace(matches[source], score=matches[place].score)
    return ordered
