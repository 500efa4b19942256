"""The guard against arguments and results that are too large."""

from __future__ import annotations

from gateway.guards.content import Content
from gateway.guards.inspection import NOTHING_FOUND, Inspection
from gateway.guards.options import SizeOptions
from gateway.json_codec import encode


class SizeGuard:
    """Weighs content in bytes of JSON."""

    def __init__(self, options: SizeOptions) -> None:
        self._max_bytes = options.max_bytes

    def inspect_now(self, content: Content) -> Inspection:
        """Raises TooDeepError."""
        size = len(encode(content.value))
        if size <= self._max_bytes:
            return NOTHING_FOUND
        return Inspection(1, f"have {size:,} bytes, more than the {self._max_bytes:,} they may have")
