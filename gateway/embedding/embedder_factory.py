"""Which embedder the settings mean."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from gateway.embedding.embedder import Embedder, EmbeddingSpace
from gateway.embedding.local.builtin import BUILTIN_MODEL, BuiltinEmbedder
from gateway.embedding.local.onnx_model import ONNX_PROVIDER, OnnxEmbedder
from gateway.embedding.local.static_model import BUILTIN_PROVIDER, STATIC_MODEL, StaticEmbedder
from gateway.embedding.model_input_format import input_format_for
from gateway.embedding.servers.fallback_embedder import FallbackEmbedder
from gateway.embedding.servers.http_client import EmbeddingHttpClient
from gateway.embedding.servers.ollama import OLLAMA_BUSY_HINT, OLLAMA_HINT, OllamaEmbedder
from gateway.embedding.servers.ollama_models import OllamaModels
from gateway.embedding.servers.openai import OPENAI_HINT, OpenAIEmbedder, normalize_base_url
from gateway.embedding.servers.remote_embedder import RemoteOptions
from gateway.errors import EmbeddingError, SettingsError
from gateway.settings import EmbedderRoute, EmbedderSettings
from gateway.settings.sections import KNOWN_PREFIX

logger = logging.getLogger(__name__)
OLLAMA_URL = "http://localhost:11434"
_OPENAI_URL = "https://api.openai.com/v1"
_OLLAMA_LATER = "Once it has, the next start goes over to it."
_DETECTION_SECONDS = 1.0


async def choose_embedder(settings: EmbedderSettings, serving: EmbeddingSpace | None = None) -> Embedder:
    """The embedder that `settings` mean; the caller closes it.

    "auto" is Ollama if it answers within a second and has the model, or if its vectors are `serving`: down at one
    start, it is not worth to embed everything twice. Else it is the builtin embedder. A named type is taken as it is,
    answering or not. One log line says which one and why.
    Raises SettingsError for a `base_url` that is no URL, an `api_key` that is no key, and "onnx" without a `path`.
    """
    if settings.type != "auto":
        return _named_embedder(settings, serving)
    ollama = _ollama(settings)
    reason = await _why_unusable(ollama)
    if not reason:
        logger.info("Embedder: ollama with %s, because it answers and has the model.", settings.model)
        return _with_fallbacks(ollama, settings, serving)
    if serving is not None and serving.provider == OllamaEmbedder.provider:
        logger.warning("Embedder: ollama with %s, whose vectors serve. %s", settings.model, reason)
        return _with_fallbacks(ollama, settings, serving)
    await ollama.aclose()
    logger.info("Embedder: builtin. %s", reason)
    return BuiltinEmbedder(remark=f"{reason} {_OLLAMA_LATER}" if "does not have" in reason else "")


def choose_standby(settings: EmbedderSettings, embedder: Embedder) -> Embedder | None:
    """The builtin embedder where another one is in use and it is to stand by; the caller closes it."""
    return BuiltinEmbedder() if settings.standby and embedder.is_remote else None


def choose_route_embedder(settings: EmbedderSettings, route: EmbedderRoute) -> Embedder:
    """The embedder of a route; the caller closes it.

    Raises SettingsError as `choose_embedder` does.
    """
    logger.info("Embedder for queries in %s:", ", ".join(route.languages))
    return _named_embedder(settings_of_route(settings, route))


def settings_of_route(settings: EmbedderSettings, route: EmbedderRoute) -> EmbedderSettings:
    """What a route means, as settings of an embedder of its own. Where its kind is that of `settings`, address and key
    that it does not name are theirs.
    """
    is_alike = route.type == settings.type or (route.type == "ollama" and settings.type == "auto")
    return replace(
        settings,
        type=route.type,
        path=route.path,
        base_url=route.base_url or (settings.base_url if is_alike else ""),
        model=route.model or EmbedderSettings().model,
        api_key=route.api_key or (settings.api_key if is_alike else ""),
        dimensions=route.dimensions,
        document_prefix=route.document_prefix,
        query_prefix=route.query_prefix,
        fallback_urls=(),
        route=(),
    )


def costs_money(settings: EmbedderSettings) -> bool:
    """Whether each text that is embedded is likely to be paid for."""
    if settings.type != "openai" or not settings.api_key:
        return False
    host = urlsplit(settings.base_url or _OPENAI_URL).hostname or ""
    return not (host in ("localhost", "127.0.0.1", "::1") or host.endswith((".local", ".internal")))


def open_ollama_models(settings: EmbedderSettings, url: str = "") -> OllamaModels:
    """The models of the Ollama at `url`, else of that which the settings mean; the caller closes it.

    Raises SettingsError for what is no URL.
    """
    return OllamaModels(_ollama_url(url or (settings.base_url if settings.type in ("auto", "ollama") else "")))


async def choose_former_embedder(space: EmbeddingSpace, settings: EmbedderSettings) -> Embedder:
    """The embedder that made the vectors of `space`, although `settings` mean another by now; the caller closes it.

    Raises EmbeddingError for a local model that is gone: vectors of another one would be compared with its own.
    """
    if space.provider == ONNX_PROVIDER:
        return await _former_onnx(space, settings)
    if space.provider != BUILTIN_PROVIDER:
        former = replace(
            settings,
            model=space.model,
            document_prefix=space.document_prefix,
            query_prefix=space.query_prefix,
            dimensions=space.dimensions,
        )
        return _with_fallbacks(_openai(former) if space.provider == "openai" else _ollama(former), former, space)
    if space.model == STATIC_MODEL:
        return StaticEmbedder()
    if space.model == BUILTIN_MODEL:
        return BuiltinEmbedder()
    raise _former_model_gone(space.model, "in this version")


async def _former_onnx(space: EmbeddingSpace, settings: EmbedderSettings) -> OnnxEmbedder:
    """From embedder.path or, as models tend to stand side by side, from the folder beside it that has its name."""
    name = space.model.rpartition("@")[0]
    if settings.path:
        embedder = OnnxEmbedder(_folder(settings).parent / name)
        try:
            # The name holds a fingerprint of what is in the folder.
            if (await embedder.space()).model == space.model:
                return embedder
        except EmbeddingError:
            logger.info("Embedder: the former model %s does not load.", name)
        await embedder.aclose()
    raise _former_model_gone(name, "at embedder.path or beside it")


def _former_model_gone(name: str, where: str) -> EmbeddingError:
    return EmbeddingError(
        f"The stored vectors are of the model {name}, which is not {where}",
        "wait until the tools are embedded with the new one",
    )


def _named_embedder(settings: EmbedderSettings, serving: EmbeddingSpace | None = None) -> Embedder:
    if settings.type == "builtin":
        logger.info("Embedder: builtin, as embedder.type says.")
        return BuiltinEmbedder()
    if settings.type == "onnx":
        return _onnx(settings)
    if settings.type == "openai":
        return _with_fallbacks(_openai(settings), settings, serving)
    logger.info("Embedder: ollama with %s, as embedder.type says.", settings.model)
    return _with_fallbacks(_ollama(settings), settings, serving)


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


def _folder(settings: EmbedderSettings) -> Path:
    return Path(settings.path).expanduser().resolve()


async def _why_unusable(ollama: OllamaEmbedder) -> str:
    """Why Ollama is not to be used, as a sentence; empty when it is."""
    with anyio.move_on_after(_DETECTION_SECONDS):
        health = await ollama.check_health()
        return "" if health.ok else health.detail
    return f"Ollama did not answer within {_DETECTION_SECONDS:g} s."


def _onnx(settings: EmbedderSettings) -> OnnxEmbedder:
    if not settings.path:
        raise SettingsError(
            'embedder.type is "onnx" and embedder.path is empty; set it to the folder that holds model.onnx and '
            "tokenizer.json."
        )
    folder = _folder(settings)
    logger.info("Embedder: onnx with the model in %s, as embedder.type says.", folder)
    return OnnxEmbedder(folder)


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
