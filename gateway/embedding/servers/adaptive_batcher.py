"""How much a server is given at a time: what it has shown to do in a third of a second, and what it has refused.

A query that comes meanwhile waits behind what is under way, so that has to be short; and a request costs a server some
time of its own, so it must not be too short either. Most servers work on one request at a time whatever they are given:
more at once are tried, and kept only where more gets done.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable

_TARGET_SECONDS = 0.3
_FIRST_WORK = 1_500
_LEAST_WORK = 64
# What a text costs beside its tokens, in tokens.
_WORK_OF_A_TEXT = 8
# A request tells of what a larger one will take, within limits.
_MAX_GROWTH = 8.0
# Each request counts so much less than the one after it.
_FADING = 0.8
# More requests at once have to bring so much more, or they only wait for each other.
_GAIN = 1.3
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 20.0, 600.0
# A trial is looked at for so many requests at least, and compared with the best of so many looks before it: a query
# that has passed makes any one of them look slow.
_TRIAL_REQUESTS, _RATES = 4, 8
_PATIENCE = 10.0
_MAX_PATIENCE = 64.0
_TOKENS = re.compile(r"\btokens?\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d{1,7}(?!\w|\.\d)")


class _Cost:
    """What requests take, as a line through the last of them: seconds = overhead + seconds_each · work."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, work: float, seconds: float) -> None:
        self._weight = _FADING * self._weight + 1
        self._x = _FADING * self._x + work
        self._y = _FADING * self._y + seconds
        self._xx = _FADING * self._xx + work * work
        self._xy = _FADING * self._xy + work * seconds

    def work_in(self, seconds: float) -> float:
        """How much is done in a request of so many seconds; where most of these are overhead, as much as makes that a
        half.
        """
        mean_work, mean_seconds = self._x / self._weight, self._y / self._weight
        variance = self._xx / self._weight - mean_work**2
        each, overhead = mean_seconds / mean_work, 0.0
        if variance > (0.1 * mean_work) ** 2:
            slope = (self._xy / self._weight - mean_work * mean_seconds) / variance
            each = min(max(slope, 1e-9), each)
            overhead = mean_seconds - each * mean_work
        return max(seconds - overhead, overhead) / each


class AdaptiveBatcher:
    """The size of requests and how many of them are made at once, as the server's answers teach it.

    A request holds at most `max_texts` texts and `max_work` of their work together; `width` may be under way.
    """

    def __init__(self, max_texts: int, max_width: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`max_texts` and `max_width` are never exceeded."""
        self.max_texts = max_texts
        self.max_work = _FIRST_WORK
        self.width = 1
        self._learnt_texts: int | None = None
        self._learnt_tokens: int | None = None
        self._max_width = max_width
        self._clock = clock
        self._cost = _Cost()
        self._tokens_per_second: float | None = None
        self._patience = 1.0
        # Requests since the width was last changed, and what they brought.
        self._since = clock()
        self._completed = 0
        self._done = 0
        self._rates: deque[float] = deque(maxlen=_RATES)
        self._tried: tuple[int, float, _Cost] | None = None
        self._is_narrower_next = False
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._try_at = 0.0

    @staticmethod
    def work_of(tokens: int) -> int:
        """What a text of so many tokens costs, in tokens."""
        return tokens + _WORK_OF_A_TEXT

    @property
    def refused_above(self) -> tuple[int | None, int | None]:
        """The most texts and the most tokens of a request, by what the server refused; None where it refused none."""
        return self._learnt_texts, self._learnt_tokens

    def seconds_allowed(self, tokens: int, least: float) -> float:
        """How long a request of so many tokens may take: `least`, or a good deal more than it is expected to."""
        expected = tokens / self._tokens_per_second if self._tokens_per_second else 0.0
        return max(least, _PATIENCE * expected) * self._patience

    def record(self, texts: int, tokens: int, started: float, now: float) -> None:
        """A request was answered; `started` and `now` by the clock."""
        seconds = max(now - started, 1e-4)
        work = tokens + texts * _WORK_OF_A_TEXT
        self._patience = 1.0
        speed = work / seconds
        known = self._tokens_per_second
        self._tokens_per_second = speed if known is None else 0.5 * (known + speed)
        if started < self._since:
            # It was begun among more or fewer others.
            return
        self._cost.add(work, seconds)
        is_full = texts >= self.max_texts or work >= self.max_work // 2
        wanted = int(min(self._cost.work_in(_TARGET_SECONDS), work * _MAX_GROWTH))
        is_settled = texts >= self.max_texts or (is_full and wanted < 2 * work)
        if is_full or wanted < self.max_work:
            self.max_work = max(_LEAST_WORK, min(wanted, self._learnt_tokens or wanted))
        self._completed += 1
        self._done += work
        if self._completed >= (self.width if self._tried is None else max(_TRIAL_REQUESTS, 2 * self.width)):
            self._widen_or_narrow(is_settled, seconds, now)

    def record_timeout(self) -> None:
        """A request took too long: smaller ones from now on, and twice the time for each until one is answered."""
        self._patience = min(self._patience * 2, _MAX_PATIENCE)
        self.max_work = max(_LEAST_WORK, self.max_work // 4)
        self.width = 1

    def record_limit(self, texts: int, tokens: int, words: str) -> None:
        """A request of so many texts and tokens was refused with these `words`, and its halves were not."""
        if _TOKENS.search(words):
            self._learnt_tokens = max(_LEAST_WORK, tokens // 2)
            self.max_work = min(self.max_work, self._learnt_tokens)
            return
        stated = [int(number) for number in _NUMBER.findall(words)]
        fitting = [number for number in stated if texts // 2 <= number < texts]
        self._learnt_texts = self.max_texts = max(1, max(fitting, default=texts // 2))

    def _widen_or_narrow(self, is_settled: bool, seconds: float, now: float) -> None:
        """More at once are tried where a request has the size that it is to have, and kept where they bring more; fewer
        are tried, too, and kept where they bring as much.
        """
        self._rates.append(self._done / max(now - self._since, 1e-4))
        if self._tried is not None:
            self._end_trial(*self._tried, now)
        if is_settled and now >= self._try_at:
            self._begin_trial(seconds)
        self._since, self._completed, self._done = now, 0, 0

    def _begin_trial(self, seconds: float) -> None:
        wider = min(self._max_width, self.width * (4 if seconds < _TARGET_SECONDS / 3 else 2))
        width = self.width // 2 if self.width > 1 and (self._is_narrower_next or wider == self.width) else wider
        if width == self.width:
            return
        self._tried = (self.width, max(self._rates), self._cost)
        self._rates.clear()
        self._cost = _Cost()
        self.width = width

    def _end_trial(self, width: int, before: float, cost: _Cost, now: float) -> None:
        self._tried = None
        rate = self._rates[-1]
        is_kept = rate >= _GAIN * before if self.width > width else _GAIN * rate > before
        if is_kept:
            self._is_narrower_next = self.width < width
            self._pause_seconds = _FIRST_PAUSE_SECONDS
            return
        self._rates.clear()
        self._is_narrower_next = not self._is_narrower_next
        self.width, self._cost = width, cost
        self.max_work = max(_LEAST_WORK, int(cost.work_in(_TARGET_SECONDS)))
        self._try_at = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
