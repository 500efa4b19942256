from __future__ import annotations

from typing import Any

import pytest

from gateway.search.demotion import demote_deprecated
from gateway.search.index.tool_card import ToolCard
from gateway.search.request import Match


def _card(tool_id: int, description: str = "", server_id: int = 1, **more: str) -> ToolCard:
    values: dict[str, Any] = {"title": None, "annotations_json": None, "icons_json": None, **more}
    return ToolCard(
        tool_id=tool_id,
        exposed_name=f"tool_{tool_id}",
        name=f"tool_{tool_id}",
        server_id=server_id,
        server="Farm",
        category="other",
        description=description,
        input_schema_json="{}",
        **values,
    )


@pytest.mark.parametrize(
    "card",
    [
        _card(1, "DEPRECATED: use feed_all"),
        _card(1, "[Deprecated] Feeds"),
        _card(1, "Obsolete. Feeds"),
        _card(1, "Legacy: use feed_all"),
        _card(1, "**⚠️ DEPRECATED** Feeds"),
        _card(1, "WARNING: _deprecated_, feeds"),
        _card(1, "This tool is deprecated. Use feed_all"),
        _card(1, "Feeds. **This tool has been deprecated**"),
        _card(1, title="Deprecated: Feed"),
        _card(1, title="Feed (deprecated)"),
        _card(1, title="Feed [Deprecated since 2.0]"),
        _card(1, annotations_json='{"deprecated": true}'),
    ],
)
def test_a_tool_says_of_itself_that_it_is_deprecated(card: ToolCard) -> None:
    assert card.is_deprecated


@pytest.mark.parametrize(
    "card",
    [
        _card(1, "Lists deprecated packages"),
        _card(1, "Legacy systems are fed by it"),
        _card(1, "Tells whether this tool is deprecated"),
        _card(1, title="List deprecated APIs"),
        _card(1, title="Find obsolete packages"),
        _card(1, title="Feed (deprecated ones) of a farm"),
        _card(1, "Feeds. Not deprecated"),
        _card(1, annotations_json='{"deprecated": false}'),
        _card(1, annotations_json='["deprecated"]'),
        _card(1, annotations_json='{"title": "deprecated"}'),
        _card(1),
    ],
)
def test_a_tool_that_speaks_of_deprecated_things_is_not_one(card: ToolCard) -> None:
    assert not card.is_deprecated


def test_a_deprecated_tool_changes_places_with_the_living_ones_of_its_server() -> None:
    cards = {1: _card(1, "Deprecated: use 3"), 2: _card(2, server_id=2), 3: _card(3), 4: _card(4, "Deprecated", 3)}
    matches = [Match(1, 0.9, 0.5), Match(2, 0.8, 0.5), Match(3, 0.7, 0.5), Match(4, 0.6, 0.5)]
    ordered = demote_deprecated(matches, cards)
    assert [match.tool_id for match in ordered] == [3, 2, 1, 4]
    assert [match.score for match in ordered] == [0.9, 0.8, 0.7, 0.6]


def test_a_deprecated_tool_that_is_asked_for_by_name_stays_first() -> None:
    cards = {1: _card(1, "Deprecated: use 3"), 3: _card(3)}
    matches = [Match(1, 1.0, 0.5, is_named=True), Match(3, 0.7, 0.5)]
    assert demote_deprecated(matches, cards) == matches


def test_tools_that_are_gone_stay_where_they_are() -> None:
    matches = [Match(1, 0.9, 0.5), Match(2, 0.8, 0.5)]
    assert demote_deprecated(matches, {}) == matches
