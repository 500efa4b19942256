from __future__ import annotations

from gateway.search.search_explanation import SearchStep, SearchTimes, StepTimer


def test_the_time_that_passes_is_divided_without_a_gap() -> None:
    ticks = iter([10.0, 10.002, 10.005, 10.006, 10.01, 10.015])
    timer = StepTimer(lambda: next(ticks))
    steps: tuple[SearchStep, ...] = ("embed", "index", "score", "index", "rerank")
    for step in steps:
        timer.lap(step)
    times = timer.times
    steps_ms = (times.embed, times.index, times.score, times.rerank)
    assert SearchTimes(*(round(each, 6) for each in steps_ms)) == SearchTimes(2, 7, 1, 5)
