"""How much a server is given at a time: what it has shown to do in a third of a second, and what it has refused.

A query that comes meanwhile waits behind what is under way, so that has to be short; and a request costs a server some
time of its own, so it must not be too short either. Most servers work on one request at a time whatever they are given:
more at once are tried, and kept only where more gets done.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

_TARGET_SECONDS = 0.3
_FIRST_TEXTS, _FIRST_TOKENS = 16, 1_500
_FEWEST_TOKENS = 64
# A request tells of what a larger one will take, within limits.
_MOST_GROWTH = 8.0
# More requests at once have to bring so much more, or they only wait for each other.
_GAIN = 1.2
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 20.0, 600.0
_PATIENCE = 10.0
_MOST_PATIENCE = 64.0
_TOKENS = re.compile(r"\btokens?\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d{1,7}(?!\w|\.\d)")


class Pace:
    """The size of requests and how many of them are made at once, as the server's answers teach it.

    `max_texts` and `max_tokens` hold for one request, `width` requests may be under way.
    """

    def __init__(self, max_texts: int, max_width: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`max_texts` and `max_width` are never exceeded."""
        self.max_texts = min(max_texts, _FIRST_TEXTS)
        self.max_tokens = _FIRST_TOKENS
        self.width = 1
        self._most_texts = max_texts
        self._learnt_texts: int | None = None
        self._learnt_tokens: int | None = None
        self._max_width = max_width
        self._clock = clock
        self._tokens_per_second: float | None = None
        self._patience = 1.0
        # Requests since the width was last changed, and what they brought.
        self._since = clock()
        self._completed = 0
        self._tokens = 0
        self._tried: tuple[int, float] | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._try_at = 0.0

    @property
    def tokens_per_second(self) -> float | None:
        """What one request gets done, by the last ones; None before the first."""
        return self._tokens_per_second

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
        tokens = max(tokens, 1)
        self._patience = 1.0
        speed = tokens / seconds
        known = self._tokens_per_second
        self._tokens_per_second = speed if known is None else 0.5 * (known + speed)
        self._resize(texts, tokens, seconds)
        if started >= self._since:
            self._completed += 1
            self._tokens += tokens
            if self._completed >= self.width:
                self._widen_or_narrow(texts, seconds, now)

    def record_timeout(self) -> None:
        """A request took too long: smaller ones from now on, and twice the time for each until one is answered."""
        self._patience = min(self._patience * 2, _MOST_PATIENCE)
        self.max_tokens = max(_FEWEST_TOKENS, self.max_tokens // 4)
        self.width = 1

    def record_limit(self, texts: int, tokens: int, words: str) -> None:
        """A request of so many texts and tokens was refused with these `words`, and its halves were not."""
        numbers = [int(number) for number in _NUMBER.findall(words)]
        if _TOKENS.search(words):
            self._learnt_tokens = max(_FEWEST_TOKENS, tokens // 2)
            self.max_tokens = min(self.max_tokens, self._learnt_tokens)
            return
        stated = [number for number in numbers if texts // 2 <= number < texts]
        self._learnt_texts = self._most_texts = max(1, max(stated, default=texts // 2))
        self.max_texts = min(self.max_texts, self._most_texts)

    def _resize(self, texts: int, tokens: int, seconds: float) -> None:
        ratio = min(_TARGET_SECONDS / seconds, _MOST_GROWTH)
        full_of_texts, full_of_tokens = texts >= self.max_texts, tokens >= self.max_tokens // 2
        # Near the target a single answer is mostly chance.
        if 0.5 < ratio < 2:
            ratio = 0.5 * (1 + ratio)
        if full_of_tokens:
            self.max_tokens = int(tokens * ratio)
        elif ratio < 1 and not full_of_texts:
            self.max_tokens = min(self.max_tokens, tokens)
        if full_of_texts:
            self.max_texts = int(texts * ratio)
        elif ratio < 1 and not full_of_tokens:
            self.max_texts = min(self.max_texts, texts)
        self.max_tokens = max(_FEWEST_TOKENS, min(self.max_tokens, self._learnt_tokens or self.max_tokens))
        self.max_texts = max(1, min(self.max_texts, self._most_texts))

    def _widen_or_narrow(self, texts: int, seconds: float, now: float) -> None:
        done = self._tokens / max(now - self._since, 1e-4)
        if self._tried is not None:
            width, before = self._tried
            self._tried = None
            if done < _GAIN * before:
                self.width = width
                self._try_at = now + self._pause_seconds
                self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            else:
                self._pause_seconds = _FIRST_PAUSE_SECONDS
        is_settled = texts >= self._most_texts or seconds > 0.5 * _TARGET_SECONDS
        is_quick = seconds < _TARGET_SECONDS / 3
        if now >= self._try_at and self.width < self._max_width and (is_settled or is_quick):
            self._tried = (self.width, done)
            self.width = min(self._max_width, self.width * (4 if is_quick else 2))
        self._since, self._completed, self._tokens = now, 0, 0
