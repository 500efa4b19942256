"""What a search asks of a model that ranks, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Reranker(Protocol):
    """Orders documents by how well they serve a query. `label` names it in messages, without secrets."""

    label: str

    async def rank(self, query: str, documents: Sequence[str]) -> list[int]:
        """Places in `documents`, counted from 0, best first: each at most once, those left out that it says nothing of.

        Raises RerankError where it does not answer, or with something that is no order.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


def read_places(places: Iterable[object], count: int) -> list[int]:
    """The places among `places` that there are, of `count`, counted from 0; of one that is named twice the first."""
    return list(
        dict.fromkeys(
            # True is an int as well.
            place
            for place in places
            if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < count
        )
    )


def complete_order(ranked: Sequence[int], count: int) -> tuple[int, ...]:
    """All `count` places, best first: those of `ranked` share their places out among them, every other keeps its own.

    What a model forgot, or was never shown, neither gains nor loses by it.
    """
    order = list(range(count))
    for place, moved in zip(sorted(ranked), ranked, strict=True):
        order[place] = moved
    return tuple(order)
