"""Embedders at servers, as the settings mean them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import anyio

from gateway.embedding.embedder import Embedder, EmbeddingSpace
from gateway.embedding.model_input_format import input_format_for
from gateway.embedding.servers.fallback_embedder import FallbackEmbedder
from gateway.embedding.servers.http_client import EmbeddingHttpClient
from gateway.embedding.servers.ollama import OLLAMA_BUSY_HINT, OLLAMA_HINT, OllamaEmbedder
from gateway.embedding.servers.ollama_models import OllamaModels
from gateway.embedding.servers.openai import OPENAI_HINT, OpenAIEmbedder, normalize_base_url
from gateway.embedding.servers.remote_embedder import RemoteOptions
from gateway.settings import EmbedderSettings
from gateway.settings.sections import KNOWN_PREFIX

logger = logging.getLogger(__name__)
OLLAMA_URL = "http://localhost:11434"
_OPENAI_URL = "https://api.openai.com/v1"
_DETECTION_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FoundOllama:
    """What became of looking for Ollama: its embedder, or None and why there is none."""

    embedder: Embedder | None
    reason: str = ""


async def find_ollama(settings: EmbedderSettings, serving: EmbeddingSpace | None) -> FoundOllama:
    """Ollama if it answers within a second and has the model, or if its vectors are `serving`; the caller closes it."""
    ollama = _ollama(settings)
    reason = await _why_unusable(ollama)
    if not reason:
        logger.info("Embedder: ollama with %s, because it answers and has the model.", settings.model)
        return FoundOllama(_with_fallbacks(ollama, settings, serving))
    if serving is not None and serving.provider == OllamaEmbedder.provider:
        logger.warning("Embedder: ollama with %s, whose vectors serve. %s", settings.model, reason)
        return FoundOllama(_with_fallbacks(ollama, settings, serving))
    await ollama.aclose()
    return FoundOllama(None, reason)


def open_server_embedder(settings: EmbedderSettings, serving: EmbeddingSpace | None = None) -> Embedder:
    """The embedder at a server that `settings` mean, "openai" or else Ollama; the caller closes it.

    Raises SettingsError for a `base_url` that is no URL and an `api_key` that is no key.
    """
    return _with_fallbacks(_openai(settings) if settings.type == "openai" else _ollama(settings), settings, serving)


def open_ollama_models(settings: EmbedderSettings, url: str = "") -> OllamaModels:
    """The models of the Ollama at `url`, else of that which the settings mean; the caller closes it.

    Raises SettingsError for what is no URL.
    """
    return OllamaModels(_ollama_url(url or (settings.base_url if settings.type in ("auto", "ollama") else "")))


def _with_fallbacks(
    first: OllamaEmbedder | OpenAIEmbedder, settings: EmbedderSettings, serving: EmbeddingSpace | None
) -> Embedder:
    """`first`, or where the settings name other servers beside it, all of them as one."""
    if not settings.fallback_urls:
        return first
    open_one = _ollama if isinstance(first, OllamaEmbedder) else _openai
    others = [open_one(replace(settings, base_url=url)) for url in settings.fallback_urls]
    logger.info("Embedder: in place of a server that does not answer: %s.", ", ".join(other.label for other in others))
    known = serving.build if serving is not None and first.matches_space(serving) else ""
    return FallbackEmbedder([first, *others], known if isinstance(first, OllamaEmbedder) else "")


async def _why_unusable(ollama: OllamaEmbedder) -> str:
    """Why Ollama is not to be used, as a sentence; empty when it is."""
    with anyio.move_on_after(_DETECTION_SECONDS):
        health = await ollama.check_health()
        return "" if health.ok else health.detail
    return f"Ollama did not answer within {_DETECTION_SECONDS:g} s."


def _ollama(settings: EmbedderSettings) -> OllamaEmbedder:
    client = EmbeddingHttpClient(
        _ollama_url(settings.base_url),
        name="Ollama",
        hint=OLLAMA_HINT,
        busy_hint=OLLAMA_BUSY_HINT,
        timeout_seconds=settings.timeout_seconds,
        concurrency=settings.concurrency,
    )
    return OllamaEmbedder(client, settings.model, _options(settings, settings.model))


def _ollama_url(base_url: str) -> str:
    return (base_url or OLLAMA_URL).rstrip("/").removesuffix("/api").removesuffix("/v1")


def _openai(settings: EmbedderSettings) -> OpenAIEmbedder:
    base_url, model = _OPENAI_URL, settings.model
    if settings.base_url:
        base_url = normalize_base_url(settings.base_url)
    elif model == EmbedderSettings().model:
        # The default is a model of Ollama's; whoever asks for OpenAI and nothing else means a model of OpenAI's.
        model = "text-embedding-3-small"
    client = EmbeddingHttpClient(
        base_url,
        name="The embedding server",
        hint=OPENAI_HINT,
        api_key=settings.api_key,
        timeout_seconds=settings.timeout_seconds,
        concurrency=settings.concurrency,
    )
    logger.info("Embedder: openai with %s at %s, as embedder.type says.", model, client.url)
    return OpenAIEmbedder(client, model, _options(settings, model))


def _options(settings: EmbedderSettings, model: str) -> RemoteOptions:
    form = input_format_for(model)
    if settings.document_prefix != KNOWN_PREFIX:
        form = replace(form, document_prefix=settings.document_prefix)
    if settings.query_prefix != KNOWN_PREFIX:
        form = replace(form, query_prefix=settings.query_prefix)
    return RemoteOptions(settings.batch_size, settings.concurrency, settings.dimensions, form)
