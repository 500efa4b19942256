"""Waiting for what is about to happen elsewhere."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio

from gateway.errors import ModelGateError


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0) -> None:
    """Return as soon as `condition` holds; what fails on the way counts as not yet. Raises TimeoutError."""
    with anyio.fail_after(seconds):
        while True:
            try:
                result = condition()
                if await result if inspect.isawaitable(result) else result:
                    return
            except (ModelGateError, OSError):
                pass
            await anyio.sleep(0.02)
