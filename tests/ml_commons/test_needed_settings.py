"""The settings of a cluster that a model needs: as they are, as they have to be, and set."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.needed_settings import (
    MEMORY,
    ONLY_ML_NODES,
    PRIVATE_ADDRESSES,
    TRUSTED_ENDPOINTS,
    NeededSettings,
)
from gateway.ml_commons.remote_model import OllamaEmbedding, OllamaText
from tests.ml_commons.conftest import ServedCluster


def embedding_at(endpoint: str) -> OllamaEmbedding:
    return OllamaEmbedding("mine", "embedding", "all-minilm", endpoint)


async def test_an_address_is_trusted_beside_those_that_are(
    client: ClusterClient, cluster_of_models: ServedCluster
) -> None:
    settings = NeededSettings(client)
    before = await settings.check(embedding_at("http://10.1.2.3:11434"))
    missing = {each.name: each.needed for each in before if each.missing}
    assert set(missing) == {TRUSTED_ENDPOINTS, PRIVATE_ADDRESSES}
    assert missing[TRUSTED_ENDPOINTS][0] == "^https://api\\.openai\\.com/.*$"
    assert missing[TRUSTED_ENDPOINTS][-1] == "^http://10\\.1\\.2\\.3:11434/.*$"
    await settings.apply(before)
    assert cluster_of_models.double.persistent == missing
    after = await settings.check(embedding_at("http://10.1.2.3:11434"))
    assert not any(each.missing for each in after)
    # Nothing to be changed is no request.
    requests = len(cluster_of_models.double.requests)
    await settings.apply(after)
    assert len(cluster_of_models.double.requests) == requests


@pytest.mark.parametrize(
    ("endpoint", "needed"),
    [
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://192.168.0.7", True),
        ("http://gateway:8080", True),
        ("http://gateway.corp.example:8080", True),
        ("http://nowhere.invalid:8080", True),
        ("https://8.8.8.8", None),
        ("https://gateway.example.com", None),
    ],
)
async def test_private_addresses_have_to_be_allowed_for_one(
    client: ClusterClient, monkeypatch: pytest.MonkeyPatch, endpoint: str, needed: bool | None
) -> None:
    known = {"localhost": "127.0.0.1", "gateway.corp.example": "10.1.2.3", "gateway.example.com": "9.9.9.9"}

    async def getaddrinfo(host: str, *_: object, **__: object) -> list[Any]:
        if host not in known:
            raise socket.gaierror(f"{host} is not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
    checked = {each.name: each for each in await NeededSettings(client).check(embedding_at(endpoint))}
    assert checked[PRIVATE_ADDRESSES].needed is needed


async def test_a_cluster_that_has_roles_for_models_elsewhere_needs_no_node_for_models(
    client: ClusterClient, cluster_of_models: ServedCluster
) -> None:
    model = OllamaText("mine", "generate", "qwen3:0.6b", "http://localhost:11434")
    checked = {each.name: each for each in await NeededSettings(client).check(model)}
    assert (checked[ONLY_ML_NODES].current, checked[ONLY_ML_NODES].missing) == (True, False)
    assert (checked[MEMORY].current, checked[MEMORY].missing) == (True, False)
    cluster_of_models.double.knows_remote_roles = False
    checked = {each.name: each for each in await NeededSettings(client).check(model)}
    assert checked[ONLY_ML_NODES].needed is False
