"""Work that goes on for as long as the process does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.backoff import Backoff

logger = logging.getLogger(__name__)

_BACKOFF = Backoff(first_seconds=1.0, longest_seconds=60.0)


async def keep_going(work: Callable[[], Awaitable[None]], backoff: Backoff = _BACKOFF) -> None:
    """Do `work` until it ends by itself or is cancelled: where it raises, that goes to the log, and it begins again
    after what `backoff` says.
    """
    failures = 0
    while True:
        begun_at = time.monotonic()
        try:
            await work()
            return
        except Exception:
            # What went well for long has not failed in a row.
            lasted = time.monotonic() - begun_at > backoff.longest_seconds
            failures = 1 if lasted else failures + 1
            delay = backoff.delay(failures)
            logger.exception("Work in the background failed; it begins again in %.1f s.", delay)
        await asyncio.sleep(delay)
