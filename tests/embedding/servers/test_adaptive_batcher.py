from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from gateway.embedding.servers.adaptive_batcher import AdaptiveBatcher


class Server:
    """Answers requests as fast as `seconds` says of their tokens, on so many `runners`, and by a clock of its own."""

    def __init__(self, seconds: Callable[[int], float], runners: int = 1) -> None:
        self.now = 0.0
        self._seconds = seconds
        self.runners = runners

    def embed(self, batcher: AdaptiveBatcher, texts: int, tokens_each: int) -> float:
        """Embed so many texts at the given batcher; returns how long it took."""
        began = self.now
        free = [self.now] * self.runners
        under_way: list[tuple[float, int, float]] = []
        while texts or under_way:
            while texts and len(under_way) < batcher.width:
                count = min(texts, batcher.max_texts, max(1, batcher.max_work // batcher.work_of(tokens_each)))
                texts -= count
                runner = min(range(self.runners), key=free.__getitem__)
                free[runner] = max(free[runner], self.now) + self._seconds(count * tokens_each)
                under_way.append((free[runner], count, self.now))
            under_way.sort()
            self.now, count, started = under_way.pop(0)
            batcher.record(count, count * tokens_each, started, self.now)
        return self.now - began


def pace_for(server: Server, max_texts: int = 128, max_width: int = 8) -> AdaptiveBatcher:
    return AdaptiveBatcher(max_texts, max_width, clock=lambda: server.now)


def test_batches_come_to_take_a_third_of_a_second() -> None:
    server = Server(lambda tokens: tokens / 1_300)
    batcher = pace_for(server)
    server.embed(batcher, 200, 100)
    assert 300 <= batcher.max_work <= 480


def test_one_runner_is_asked_for_one_thing_at_a_time_and_loses_no_time() -> None:
    server = Server(lambda tokens: 0.01 + tokens / 1_300)
    batcher = pace_for(server)
    seconds = server.embed(batcher, 1_000, 100)
    assert batcher.width == 1
    assert seconds < 1.1 * 100_000 / 1_300


def test_a_server_that_works_in_parallel_is_asked_for_more_at_once() -> None:
    server = Server(lambda tokens: tokens / 1_300, runners=4)
    batcher = pace_for(server)
    seconds = server.embed(batcher, 2_000, 100)
    assert batcher.width >= 4
    assert seconds < 1.35 * 200_000 / 1_300 / 4


def test_queries_that_pass_before_some_requests_do_not_look_like_a_gain_of_more_at_once() -> None:
    requests = itertools.count()
    server = Server(lambda tokens: tokens / 1_300 + (0.4 if next(requests) % 4 == 0 else 0.0))
    batcher = pace_for(server)
    server.embed(batcher, 4_000, 100)
    assert batcher.width == 1


def test_a_server_that_works_on_one_thing_from_now_on_is_asked_for_one_again() -> None:
    server = Server(lambda tokens: tokens / 1_300, runners=4)
    batcher = pace_for(server)
    server.embed(batcher, 2_000, 100)
    server.runners = 1
    server.embed(batcher, 4_000, 100)
    assert batcher.width == 1


def test_a_server_that_takes_the_same_time_for_every_batch_gets_the_largest_ones() -> None:
    server = Server(lambda tokens: 0.05)
    batcher = pace_for(server, max_width=1)
    seconds = server.embed(batcher, 1_950, 30)
    assert batcher.max_work > 3_000
    assert seconds <= 1.2 * 16 * 0.05


@pytest.mark.parametrize("tokens_each", [3, 400])
def test_short_and_long_texts_in_turn_do_not_spoil_each_others_batches(tokens_each: int) -> None:
    server = Server(lambda tokens: 0.02 + tokens / 5_000)
    batcher = pace_for(server)
    server.embed(batcher, 300, 200)
    server.embed(batcher, 300, tokens_each)
    server.embed(batcher, 60, 200)
    assert batcher.max_work > 700


def test_a_request_may_take_as_long_as_its_work_and_twice_as_long_after_each_that_did_not_end() -> None:
    server = Server(lambda tokens: tokens / 100)
    batcher = pace_for(server)
    assert batcher.seconds_allowed(1_000, 30.0) == 30.0
    server.embed(batcher, 20, 50)
    assert batcher.seconds_allowed(1_000, 30.0) == pytest.approx(100, rel=0.5)
    batcher.record_timeout()
    batcher.record_timeout()
    assert batcher.seconds_allowed(1, 30.0) == 120.0
    assert batcher.width == 1
    server.embed(batcher, 1, 50)
    assert batcher.seconds_allowed(1, 30.0) == 30.0


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
    batcher = AdaptiveBatcher(128, 8)
    batcher.record_limit(16, 1_000, words)
    assert batcher.refused_above == expected
