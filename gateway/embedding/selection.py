"""Which embedder the settings mean."""

from __future__ import annotations

import importlib.util
import logging

import anyio

from gateway import EMBEDDED_EXTRA
from gateway.embedding.builtin import BuiltinEmbedder
from gateway.embedding.embedder import Embedder
from gateway.embedding.http_client import EmbeddingHttpClient
from gateway.embedding.ollama import OLLAMA_HINT, OllamaEmbedder
from gateway.embedding.openai import OPENAI_HINT, OpenAIEmbedder, normalize_base_url
from gateway.settings import EmbedderSettings

logger = logging.getLogger(__name__)
_DETECTION_SECONDS = 1.0


async def choose_embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder that `settings` mean; the caller closes it.

    "auto" is Ollama if it answers within a second and has the model, else the builtin embedder where its package is
    installed. A named type is taken as it is, answering or not. One log line says which one and why.
    Raises SettingsError for a `base_url` that is no URL and an `api_key` that is no key.
    """
    if settings.type == "builtin":
        logger.info("Embedder: builtin, as embedder.type says.")
        return BuiltinEmbedder()
    if settings.type == "openai":
        return _openai(settings)
    ollama = _ollama(settings)
    if settings.type == "ollama":
        logger.info("Embedder: ollama with %s, as embedder.type says.", settings.model)
        return ollama
    reason = await _why_unusable(ollama)
    if not reason:
        logger.info("Embedder: ollama with %s, because it answers and has the model.", settings.model)
        return ollama
    if importlib.util.find_spec("wordllama") is None:
        logger.warning('Embedder: ollama, for want of `pip install "%s"`. %s', EMBEDDED_EXTRA, reason)
        return ollama
    await ollama.aclose()
    logger.info("Embedder: builtin. %s", reason)
    return BuiltinEmbedder()


async def _why_unusable(ollama: OllamaEmbedder) -> str:
    """Why Ollama is not to be used, as a sentence; empty when it is."""
    with anyio.move_on_after(_DETECTION_SECONDS):
        health = await ollama.check_health()
        return "" if health.ok else health.detail
    return f"Ollama did not answer within {_DETECTION_SECONDS:g} s."


def _ollama(settings: EmbedderSettings) -> OllamaEmbedder:
    base_url = settings.base_url.rstrip("/").removesuffix("/api").removesuffix("/v1")
    client = EmbeddingHttpClient(base_url, name="Ollama", hint=OLLAMA_HINT, timeout_seconds=settings.timeout_seconds)
    return OllamaEmbedder(client, settings.model, settings.batch_size)


def _openai(settings: EmbedderSettings) -> OpenAIEmbedder:
    defaults = EmbedderSettings()
    # The defaults are Ollama's; whoever asks for OpenAI and nothing else means OpenAI's own server and model.
    is_default_url = settings.base_url.rstrip("/") == defaults.base_url
    base_url = "https://api.openai.com/v1" if is_default_url else normalize_base_url(settings.base_url)
    model = "text-embedding-3-small" if is_default_url and settings.model == defaults.model else settings.model
    client = EmbeddingHttpClient(
        base_url,
        name="The embedding server",
        hint=OPENAI_HINT,
        api_key=settings.api_key,
        timeout_seconds=settings.timeout_seconds,
    )
    logger.info("Embedder: openai with %s at %s, as embedder.type says.", model, client.url)
    return OpenAIEmbedder(client, model, settings.batch_size)
