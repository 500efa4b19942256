"""How much is open for each address at a time."""

from __future__ import annotations

from collections import Counter

from gateway.edge.trusted_proxies import counted_address


class AddressCounts:
    """Counts what is open, connections or requests, up to `most` for an address; 0 is without a limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def open(self, address: str) -> bool:
        """Count one more; False, and nothing is counted, where there are as many as may be."""
        counted = counted_address(address)
        if self._most and self._open[counted] >= self._most:
            return False
        self._open[counted] += 1
        return True

    def close(self, address: str) -> None:
        """One that was counted is over."""
        counted = counted_address(address)
        self._open[counted] -= 1
        if self._open[counted] <= 0:
            del self._open[counted]
