"""Having Ollama fetch the configured model where it lacks it, while the gateway already serves."""

from __future__ import annotations

import logging

import anyio

from gateway.embedding.selection import open_ollama_models
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from gateway.settings import EmbedderSettings

logger = logging.getLogger(__name__)


async def pull_missing_model(settings: EmbedderSettings, retry_seconds: float = 30.0) -> None:
    """Pull `embedder.model` where `embedder.pull` says so and Ollama lacks it; the log tells what becomes of it.

    An Ollama that does not answer is asked again after `retry_seconds`, for as long as it takes; under "auto", which
    does without it, it is not.
    """
    if not settings.pull or settings.type not in ("auto", "ollama"):
        return
    is_told = False
    while True:
        try:
            await _pull(settings)
            return
        except EmbedderUnavailableError as error:
            if settings.type == "auto":
                logger.info("embedder.pull: %s", error)
                return
            logger.log(logging.DEBUG if is_told else logging.WARNING, "embedder.pull: %s", error)
            is_told = True
            await anyio.sleep(retry_seconds)
        except EmbeddingError as error:
            logger.error("embedder.pull: %s", error)
            return


async def _pull(settings: EmbedderSettings) -> None:
    async with open_ollama_models(settings) as ollama:
        wanted = settings.model.removesuffix(":latest").lower()
        if any(each.name.removesuffix(":latest").lower() == wanted for each in await ollama.installed()):
            return
        logger.info("embedder.pull: %s fetches %s.", ollama.label, settings.model)
        async for _ in ollama.pull(settings.model):
            continue
        logger.info("embedder.pull: %s has %s now.", ollama.label, settings.model)
