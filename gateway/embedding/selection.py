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
from gateway.embedding.openai import OPENAI_HINT, OpenAIEmbedder, api_base
from gateway.settings import EmbedderSettings

_log = logging.getLogger(__name__)
_QUICK_SECONDS = 1.0


async def choose_embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder that `settings` mean; the caller closes it.

    "auto" is Ollama if it answers within a second and has the model, else the builtin embedder where its package is
    installed. A named type is taken as it is, answering or not. One log line says which one and why.
    Raises SettingsError for a `base_url` that is no URL and an `api_key` that is no key.
    """
    if settings.type == "builtin":
        _log.info("Embedder: builtin, as embedder.type says.")
        return BuiltinEmbedder()
    if settings.type == "openai":
        return _openai(settings)
    ollama = _ollama(settings)
    if settings.type == "ollama":
        _log.info("Embedder: ollama with %s, as embedder.type says.", settings.model)
        return ollama
    obstacle = await _obstacle(ollama)
    if not obstacle:
        _log.info("Embedder: ollama with %s, because it answers and has the model.", settings.model)
        return ollama
    if importlib.util.find_spec("wordllama") is None:
        _log.warning('Embedder: ollama, for want of `pip install "%s"`. %s', EMBEDDED_EXTRA, obstacle)
        return ollama
    await ollama.aclose()
    _log.info("Embedder: builtin. %s", obstacle)
    return BuiltinEmbedder()


async def _obstacle(ollama: OllamaEmbedder) -> str:
    """Why Ollama is not to be used, as a sentence; empty when it is."""
    with anyio.move_on_after(_QUICK_SECONDS):
        health = await ollama.health()
        return "" if health.ok else health.detail
    return f"Ollama did not answer within {_QUICK_SECONDS:g} s."


def _ollama(settings: EmbedderSettings) -> OllamaEmbedder:
    base_url = settings.base_url.rstrip("/").removesuffix("/api").removesuffix("/v1")
    endpoint = EmbeddingHttpClient(base_url, name="Ollama", hint=OLLAMA_HINT, timeout_seconds=settings.timeout_seconds)
    return OllamaEmbedder(endpoint, settings.model, settings.batch_size)


def _openai(settings: EmbedderSettings) -> OpenAIEmbedder:
    defaults = EmbedderSettings()
    # The defaults are Ollama's; whoever asks for OpenAI and nothing else means OpenAI's own server and model.
    untouched = settings.base_url.rstrip("/") == defaults.base_url
    base_url = "https://api.openai.com/v1" if untouched else api_base(settings.base_url)
    model = "text-embedding-3-small" if untouched and settings.model == defaults.model else settings.model
    endpoint = EmbeddingHttpClient(
        base_url,
        name="The embedding server",
        hint=OPENAI_HINT,
        api_key=settings.api_key,
        timeout_seconds=settings.timeout_seconds,
    )
    _log.info("Embedder: openai with %s at %s, as embedder.type says.", model, endpoint.url)
    return OpenAIEmbedder(endpoint, model, settings.batch_size)
