"""Which spaces are to hold every tool, and what embeds for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.embedding.embedder import EmbeddedTexts
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import EmbeddingError


@dataclass(frozen=True, slots=True)
class FillTarget:
    """A space to be filled, and what embeds texts for it.

    `is_configured`: it is that of the configured embedder. `is_standby`: it stands by, at the rate that this machine
    has. `proposes_categories`: it serves or is to take over, so that tools get the category that is found in it.
    """

    stored: StoredSpace
    embed_each: Callable[[Sequence[str], float], Awaitable[EmbeddedTexts]]
    is_configured: bool = False
    is_standby: bool = False
    proposes_categories: bool = False


@dataclass(frozen=True, slots=True)
class FillPlan:
    """The spaces to fill, the most wanted first, and why one that is wanted is not among them."""

    targets: tuple[FillTarget, ...]
    failure: EmbeddingError | None = None
