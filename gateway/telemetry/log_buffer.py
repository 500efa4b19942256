"""The last lines of the process's own log, kept to be looked at."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

_MAX_LINES = 2_000
_MAX_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record: when, its level in lower case, which part of the gateway wrote it, and what."""

    at: datetime
    level: str
    logger: str
    message: str


class LogBuffer(logging.Handler):
    """Keeps the last 2,000 records, each cut to 4,000 characters and without what `mask` takes out."""

    def __init__(self, mask: Callable[[str, int], str]) -> None:
        """`mask(text, characters)` gives the beginning of a text without secrets."""
        super().__init__()
        self._mask = mask
        self._lines: deque[LogLine] = deque(maxlen=_MAX_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, with the traceback of its error if it has one."""
        try:
            message = self._mask(self.format(record), _MAX_CHARACTERS)
        except (TypeError, ValueError):
            self.handleError(record)
            return
        at = datetime.fromtimestamp(record.created, timezone.utc)
        self._lines.append(LogLine(at, record.levelname.lower(), record.name, message))

    def lines(self) -> list[LogLine]:
        """What is kept, newest first."""
        return list(reversed(self._lines))
