"""A line in the log for each embedding, at level debug."""

from __future__ import annotations

import logging
from collections.abc import Iterable

logger = logging.getLogger(__name__)


def log_embeddings(name: str, texts: Iterable[str], seconds: float, *, cache_hit: bool) -> None:
    """Log that each of `texts` has its vector from the embedder of that name, `SERVICE/MODEL`, after so many seconds.

    Of a text only the length is told, as it may say what nobody else is to read.
    """
    if not logger.isEnabledFor(logging.DEBUG):
        return
    service, _, model = name.partition("/")
    for text in texts:
        logger.debug(
            "Embedding: service=%s model=%s characters=%d ms=%.1f cache_hit=%s",
            service,
            model,
            len(text),
            seconds * 1000,
            str(cache_hit).lower(),
        )
