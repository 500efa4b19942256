"""What a cluster that refuses, or is none, is said to be."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.errors import (
    MlCommonsError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchUnavailableError,
    SettingsError,
)
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.settings import OpenSearchSettings
from tests.ml_commons.conftest import ServedCluster
from tests.opensearch.proxy import ClusterProxy
from tests.support.serving import open_port, serving
from tests.upstream.http.tls import made, pem


async def test_who_asks_is_told_by_a_name_and_a_password_which_no_message_repeats(
    cluster_of_models: ServedCluster,
) -> None:
    cluster_of_models.double.password = "correct horse"
    right = OpenSearchSettings(urls=(cluster_of_models.url,), username="admin", password="correct horse")
    async with ClusterClient(right) as client:
        assert "nodes" in await client.request("GET", "/_nodes")
    wrong = OpenSearchSettings(urls=(cluster_of_models.url,), username="admin", password="wrong battery")
    async with ClusterClient(wrong) as client:
        with pytest.raises(OpenSearchCredentialsError, match="ml_full_access") as refused:
            await client.request("GET", "/_nodes")
        assert "wrong battery" not in refused.value.message


@pytest.mark.parametrize(("days", "trusted"), [(1, True), (-1, True), (1, False)])
async def test_a_certificate_is_checked_and_told_where_it_cannot_be_trusted(
    cluster_of_models: ServedCluster, tmp_path: Path, days: int, trusted: bool
) -> None:
    authority = made("authority")
    server = pem(*made("localhost", authority, days=days))
    (tmp_path / "server.pem").write_text(server.certificate)
    (tmp_path / "key.pem").write_text(server.key)
    (tmp_path / "ca.pem").write_text(pem(*(authority if trusted else made("another"))).certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    async with ClusterProxy(cluster_of_models.url).running(tls) as url:
        settings = OpenSearchSettings(urls=(url.replace("127.0.0.1", "localhost"),), ca_file=str(tmp_path / "ca.pem"))
        async with ClusterClient(settings) as client:
            if days > 0 and trusted:
                assert "nodes" in await client.request("GET", "/_nodes")
            else:
                with pytest.raises(OpenSearchCertificateError, match=r"opensearch\.ca_file"):
                    await client.request("GET", "/_nodes")
        async with ClusterClient(replace(settings, verify=False)) as client:
            assert "nodes" in await client.request("GET", "/_nodes")


async def test_a_cluster_without_ml_commons_is_told_to_have_none(
    client: ClusterClient, cluster_of_models: ServedCluster
) -> None:
    cluster_of_models.double.has_plugin = False
    with pytest.raises(MlCommonsError, match="has no ML Commons; install the plugin opensearch-ml"):
        await client.request("POST", "/_plugins/_ml/models/_search", {"query": {"term": {"name.keyword": "a"}}})


async def test_the_next_node_is_asked_where_one_is_down(cluster_of_models: ServedCluster) -> None:
    with open_port() as (listening, closed):
        listening.close()
        async with ClusterClient(OpenSearchSettings(urls=(closed, cluster_of_models.url))) as client:
            assert "nodes" in await client.request("GET", "/_nodes")
        async with ClusterClient(OpenSearchSettings(urls=(closed,))) as client:
            with pytest.raises(OpenSearchUnavailableError, match="cannot be reached"):
                await client.request("GET", "/_nodes")


async def test_what_answers_and_is_no_cluster_is_told_to_be_none() -> None:
    application = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("hello"))])
    async with serving(application) as url, ClusterClient(OpenSearchSettings(urls=(url,))) as client:
        with pytest.raises(MlCommonsError, match="no JSON of its own"):
            await client.request("GET", "/")


@pytest.mark.parametrize("url", ["search.example.com", "ftp://search", "http://[::1"])
def test_what_is_no_address_is_told_so(url: str) -> None:
    with pytest.raises(SettingsError, match=r"https://search\.example\.com:9200"):
        ClusterClient(OpenSearchSettings(urls=(url,)))


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(SettingsError, match="no file of certificates"):
            ClusterClient(OpenSearchSettings(urls=("https://search",), ca_file=str(tmp_path / name)))
