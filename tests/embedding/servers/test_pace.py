from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.embedding.servers.pace import Pace


class Server:
    """Answers requests as fast as `seconds` says of their tokens, on so many `runners`, and by a clock of its own."""

    def __init__(self, seconds: Callable[[int], float], runners: int = 1) -> None:
        self.now = 0.0
        self._seconds = seconds
        self._runners = runners

    def embed(self, pace: Pace, texts: int, tokens_each: int) -> float:
        """Embed so many texts at the given pace; returns how long it took."""
        began = self.now
        free = [self.now] * self._runners
        under_way: list[tuple[float, int, float]] = []
        while texts or under_way:
            while texts and len(under_way) < pace.width:
                count = min(texts, pace.max_texts, max(1, pace.max_work // pace.work_of(tokens_each)))
                texts -= count
                runner = min(range(self._runners), key=free.__getitem__)
                free[runner] = max(free[runner], self.now) + self._seconds(count * tokens_each)
                under_way.append((free[runner], count, self.now))
            under_way.sort()
            self.now, count, started = under_way.pop(0)
            pace.record(count, count * tokens_each, started, self.now)
        return self.now - began


def pace_for(server: Server, max_texts: int = 128, max_width: int = 8) -> Pace:
    return Pace(max_texts, max_width, clock=lambda: server.now)


def test_batches_come_to_take_a_third_of_a_second() -> None:
    server = Server(lambda tokens: tokens / 1_300)
    pace = pace_for(server)
    server.embed(pace, 200, 100)
    assert 300 <= pace.max_work <= 480


def test_one_runner_is_asked_for_one_thing_at_a_time_and_loses_no_time() -> None:
    server = Server(lambda tokens: 0.01 + tokens / 1_300)
    pace = pace_for(server)
    seconds = server.embed(pace, 1_000, 100)
    assert pace.width == 1
    assert seconds < 1.1 * 100_000 / 1_300


def test_a_server_that_works_in_parallel_is_asked_for_more_at_once() -> None:
    server = Server(lambda tokens: tokens / 1_300, runners=4)
    pace = pace_for(server)
    seconds = server.embed(pace, 2_000, 100)
    assert pace.width >= 4
    assert seconds < 1.35 * 200_000 / 1_300 / 4


def test_a_server_that_takes_the_same_time_for_every_batch_gets_the_largest_ones() -> None:
    server = Server(lambda tokens: 0.05)
    pace = pace_for(server, max_width=1)
    seconds = server.embed(pace, 1_950, 30)
    assert pace.max_work > 3_000
    assert seconds <= 1.2 * 16 * 0.05


@pytest.mark.parametrize("tokens_each", [3, 400])
def test_short_and_long_texts_in_turn_do_not_spoil_each_others_batches(tokens_each: int) -> None:
    server = Server(lambda tokens: 0.02 + tokens / 5_000)
    pace = pace_for(server)
    server.embed(pace, 300, 200)
    server.embed(pace, 300, tokens_each)
    server.embed(pace, 60, 200)
    assert pace.max_work > 700


def test_a_request_may_take_as_long_as_its_work_and_twice_as_long_after_each_that_did_not_end() -> None:
    server = Server(lambda tokens: tokens / 100)
    pace = pace_for(server)
    assert pace.seconds_allowed(1_000, 30.0) == 30.0
    server.embed(pace, 20, 50)
    assert pace.seconds_allowed(1_000, 30.0) == pytest.approx(100, rel=0.5)
    pace.record_timeout()
    pace.record_timeout()
    assert pace.seconds_allowed(1, 30.0) == 120.0
    assert pace.width == 1
    server.embed(pace, 1, 50)
    assert pace.seconds_allowed(1, 30.0) == 30.0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("batch size is invalid, it should not be larger than 10.: input.contents", (10, None)),
        ("batch size 16 > maximum allowed batch size 12", (12, None)),
        ("* at most 15 requests can be in one batch", (15, None)),
        ("too many inputs", (8, None)),
        ("Too many tokens in batch. Max is 16384 got 17555", (None, 500)),
    ],
)
def test_a_limit_is_read_from_the_words_of_its_refusal_or_taken_as_the_half_that_passed(
    words: str, expected: tuple[int | None, int | None]
) -> None:
    pace = Pace(128, 8)
    pace.record_limit(16, 1_000, words)
    assert pace.refused_above == expected
