"""Which reranker the settings mean. Few have one: what asks it is imported with the first."""

from __future__ import annotations

import logging

from gateway.errors import SettingsError
from gateway.search.rerank.reranker import Reranker
from gateway.search.rerank.reranking import Reranking
from gateway.settings import RerankSettings

logger = logging.getLogger(__name__)

OLLAMA_URL = "http://localhost:11434"
OLLAMA_MODEL = "qwen3:0.6b"
"""Where a language model is looked for, and which, where the settings say neither."""


def open_reranking(settings: RerankSettings) -> Reranking | None:
    """The reranking that `settings` mean, None where there is none; the caller closes it.

    Raises SettingsError for a `base_url` that is no URL or missing, and an `api_key` that is no key.
    """
    if settings.type == "none":
        return None
    reranker = _server(settings) if settings.type == "server" else _language_model(settings)
    logger.info("Reranking: %s, within %d ms of each search.", reranker.label, settings.budget_ms)
    return Reranking(reranker, settings.budget_ms / 1000)


def _server(settings: RerankSettings) -> Reranker:
    from gateway.search.rerank.http_client import RerankHttpClient
    from gateway.search.rerank.rerank_server import RerankServer, split_version

    if not settings.base_url:
        raise SettingsError(
            'rerank.type is "server" and rerank.base_url is empty; set it to where that server answers.'
        )
    base_url, version = split_version(settings.base_url)
    client = RerankHttpClient(base_url, name="The reranker", api_key=settings.api_key)
    return RerankServer(client, settings.model, version)


def _language_model(settings: RerankSettings) -> Reranker:
    from gateway.search.rerank.http_client import RerankHttpClient
    from gateway.search.rerank.language_model import LanguageModelReranker, routes_of

    base_url, routes = routes_of(settings.base_url or OLLAMA_URL)
    client = RerankHttpClient(base_url, name="The reranking model", api_key=settings.api_key)
    return LanguageModelReranker(client, settings.model or OLLAMA_MODEL, routes)
