"""Which embedder the settings mean.

Embedders at servers are imported where one is meant or looked for: their client takes as long to import as all the rest
that a search needs.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from gateway.embedding.embedder import Embedder, EmbeddingSpace
from gateway.embedding.local.builtin import BUILTIN_MODEL, BuiltinEmbedder
from gateway.embedding.local.onnx_model import ONNX_PROVIDER, OnnxEmbedder
from gateway.embedding.local.static_model import BUILTIN_PROVIDER, STATIC_MODEL, StaticEmbedder
from gateway.errors import EmbeddingError, SettingsError
from gateway.settings import EmbedderRoute, EmbedderSettings

logger = logging.getLogger(__name__)
_OLLAMA_LATER = "Once it has, the next start goes over to it."


async def choose_embedder(settings: EmbedderSettings, serving: EmbeddingSpace | None = None) -> Embedder:
    """The embedder that `settings` mean; the caller closes it.

    "auto" is Ollama if it answers within a second and has the model, or if its vectors are `serving`: down at one
    start, it is not worth to embed everything twice. Else it is the builtin embedder. A named type is taken as it is,
    answering or not. One log line says which one and why.
    Raises SettingsError for a `base_url` that is no URL, an `api_key` that is no key, and "onnx" without a `path`.
    """
    if settings.type != "auto":
        return _named_embedder(settings, serving)
    from gateway.embedding.servers.server_factory import find_ollama

    found = await find_ollama(settings, serving)
    if found.embedder is not None:
        return found.embedder
    logger.info("Embedder: builtin. %s", found.reason)
    return BuiltinEmbedder(remark=f"{found.reason} {_OLLAMA_LATER}" if "does not have" in found.reason else "")


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
    host = urlsplit(settings.base_url).hostname or ""
    return not (host in ("localhost", "127.0.0.1", "::1") or host.endswith((".local", ".internal")))


async def choose_former_embedder(space: EmbeddingSpace, settings: EmbedderSettings) -> Embedder:
    """The embedder that made the vectors of `space`, although `settings` mean another by now; the caller closes it.

    Raises EmbeddingError for a local model that is gone: vectors of another one would be compared with its own.
    """
    if space.provider == ONNX_PROVIDER:
        return await _former_onnx(space, settings)
    if space.provider != BUILTIN_PROVIDER:
        from gateway.embedding.servers.server_factory import open_server_embedder

        former = replace(
            settings,
            type="openai" if space.provider == "openai" else "ollama",
            model=space.model,
            document_prefix=space.document_prefix,
            query_prefix=space.query_prefix,
            dimensions=space.dimensions,
        )
        return open_server_embedder(former, space)
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
    from gateway.embedding.servers.server_factory import open_server_embedder

    if settings.type != "openai":
        logger.info("Embedder: ollama with %s, as embedder.type says.", settings.model)
    return open_server_embedder(settings, serving)


def _folder(settings: EmbedderSettings) -> Path:
    return Path(settings.path).expanduser().resolve()


def _onnx(settings: EmbedderSettings) -> OnnxEmbedder:
    if not settings.path:
        raise SettingsError(
            'embedder.type is "onnx" and embedder.path is empty; set it to the folder that holds model.onnx and '
            "tokenizer.json."
        )
    folder = _folder(settings)
    logger.info("Embedder: onnx with the model in %s, as embedder.type says.", folder)
    return OnnxEmbedder(folder)
