"""How severe log messages are, and which of them a client wants to hear."""

from __future__ import annotations

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""From the least severe."""


def at_least(level: object, least: object) -> bool:
    """Whether a message of `level` is wanted by who wants those from `least` on; levels unknown here are wanted."""
    return level not in LEVELS or least not in LEVELS or LEVELS.index(str(level)) >= LEVELS.index(str(least))
