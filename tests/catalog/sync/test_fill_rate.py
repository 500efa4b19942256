"""How many texts may be embedded in the background."""

from __future__ import annotations

import math

from gateway.catalog.sync.fill_rate import FillRate


def test_texts_pass_evenly_and_what_was_not_used_is_not_made_up_for() -> None:
    seconds = [0.0]
    rate = FillRate(60, lambda: seconds[0])
    assert rate.available() == 0
    seconds[0] = 5
    assert rate.available() == 5
    rate.spend(4)
    assert rate.available() == 1
    seconds[0] = 1_000
    assert rate.available() == 10


def test_of_zero_any_number_passes_and_of_the_lowest_one_a_tool_at_a_time() -> None:
    seconds = [0.0]
    assert FillRate(0).available() == math.inf
    rate = FillRate(1, lambda: seconds[0])
    seconds[0] = 1_000
    assert rate.available() == 2
