"""A cluster with ML Commons and the servers of models, all of them doubles over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from gateway.ml_commons.cluster_client import ClusterClient
from gateway.settings import OpenSearchSettings
from tests.doubles.ml_commons_cluster import MlCommonsCluster
from tests.doubles.ollama_server import OllamaServer
from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class ServedCluster:
    """The double, and where it answers."""

    double: MlCommonsCluster
    url: str


@pytest.fixture
async def cluster_of_models() -> AsyncIterator[ServedCluster]:
    double = MlCommonsCluster()
    async with serving(double.app()) as url:
        yield ServedCluster(double, url)


@pytest.fixture
async def client(cluster_of_models: ServedCluster) -> AsyncIterator[ClusterClient]:
    async with ClusterClient(OpenSearchSettings(urls=(cluster_of_models.url,))) as opened:
        yield opened


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(models=("all-minilm", "qwen3:0.6b")) as ollama:
        yield ollama
