from __future__ import annotations

import logging

import pytest

from gateway.errors import SettingsError
from gateway.search.rerank.reranker_factory import open_reranking
from gateway.settings import RerankSettings


def test_without_a_type_there_is_no_reranking() -> None:
    assert open_reranking(RerankSettings(base_url="http://localhost:8080")) is None


def test_a_server_has_to_be_named() -> None:
    with pytest.raises(SettingsError, match=r'rerank\.type is "server" and rerank\.base_url is empty'):
        open_reranking(RerankSettings("server"))


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        (RerankSettings("llm"), "The reranking model at http://localhost:11434"),
        (RerankSettings("llm", "http://gpu:8000/v1"), "The reranking model at http://gpu:8000/v1"),
        (RerankSettings("server", "http://gpu:8000/rerank"), "The reranker at http://gpu:8000"),
    ],
)
async def test_the_log_says_what_reranks(
    caplog: pytest.LogCaptureFixture, settings: RerankSettings, label: str
) -> None:
    caplog.set_level(logging.INFO)
    reranking = open_reranking(settings)
    assert reranking is not None
    assert caplog.records[-1].message == f"Reranking: {label}, within 800 ms of each search."
    await reranking.aclose()
