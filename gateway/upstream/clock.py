"""The clock of the event loop, which deadlines are told by."""

from __future__ import annotations

import asyncio


def now() -> float:
    """Seconds since some moment, the same as `anyio.current_time`, which takes ten times as long to find its loop."""
    return asyncio.get_running_loop().time()
