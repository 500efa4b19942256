"""What was turned away before anybody looked at what it asks for."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Literal

RefusedFor = Literal["too_many", "too_slow", "too_large"]

_BY_STATUS: dict[HTTPStatus, RefusedFor] = {
    HTTPStatus.TOO_MANY_REQUESTS: "too_many",
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "too_large",
}


class Refusals:
    """Counts connections, and requests of clients behind a proxy, by why they were turned away: their address has as
    many as it may have, or a head or a body took too long or too much.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(_BY_STATUS.values(), 0))

    def count(self, status: HTTPStatus) -> None:
        """One was turned away with this status."""
        self.counts[_BY_STATUS[status]] += 1
