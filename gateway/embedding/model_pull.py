"""Having Ollama fetch the configured models where it lacks them, while the gateway already serves."""

from __future__ import annotations

import logging

import anyio

from gateway.embedding.embedder_factory import settings_of_route
from gateway.embedding.servers.server_factory import open_ollama_models
from gateway.errors import EmbedderUnavailableError, EmbeddingError
from gateway.settings import EmbedderSettings

logger = logging.getLogger(__name__)


async def pull_missing_models(settings: EmbedderSettings, retry_seconds: float = 30.0) -> None:
    """Pull `embedder.model` and the models of language routes where `embedder.pull` says so and Ollama lacks them; the
    log tells what becomes of each.

    An Ollama that does not answer is asked again after `retry_seconds`, for as long as it takes; under "auto", which
    does without it, it is not.
    """
    if not settings.pull:
        return
    everything = [settings, *(settings_of_route(settings, route) for route in settings.route)]
    # A model that several are for is pulled once, and waited for where one of them cannot do without it.
    wanted = {
        (each.base_url, _name(each.model)): each
        for kind in ("auto", "ollama")
        for each in everything
        if each.type == kind
    }
    async with anyio.create_task_group() as tasks:
        for each in wanted.values():
            tasks.start_soon(_pull_until_there, each, retry_seconds)


async def _pull_until_there(settings: EmbedderSettings, retry_seconds: float) -> None:
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
        wanted = _name(settings.model)
        if any(_name(each.name) == wanted for each in await ollama.installed()):
            return
        logger.info("embedder.pull: %s fetches %s.", ollama.label, settings.model)
        async for _ in ollama.pull(settings.model):
            continue
        logger.info("embedder.pull: %s has %s now.", ollama.label, settings.model)


def _name(model: str) -> str:
    """A model by whichever of its names."""
    return model.removesuffix(":latest").lower()
