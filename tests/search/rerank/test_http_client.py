from __future__ import annotations

import pytest

from gateway.errors import RerankError, SettingsError
from gateway.search.rerank.http_client import RerankHttpClient
from tests.doubles.ranking_server import Fault
from tests.search.rerank.conftest import Serve
from tests.support.serving import open_port


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(cut=True), "broke off the connection"),
        (Fault(size=3 * 2**20), "longer than 2,097,152 bytes"),
        (Fault(body="no JSON"), "something that is not JSON"),
    ],
)
async def test_what_is_no_answer_is_told(serve: Serve, fault: Fault, message: str) -> None:
    server = await serve("jina", fault=fault)
    client = RerankHttpClient(server.url, name="The reranker")
    with pytest.raises(RerankError, match=f"^The reranker at {server.url} .*{message}"):
        await client.post("/v1/rerank", {"query": "x", "documents": ["y"]})
    await client.aclose()


async def test_a_server_that_is_not_there_is_told() -> None:
    with open_port() as (_, url):
        pass
    client = RerankHttpClient(url, name="The reranker")
    with pytest.raises(RerankError, match=f"^The reranker at {url} does not answer$"):
        await client.post("/v1/rerank", {})
    await client.aclose()


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://localhost", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"rerank\.base_url"):
        RerankHttpClient(url, name="The reranker")


def test_an_address_is_shown_without_its_secrets() -> None:
    client = RerankHttpClient("https://user:secret@rank.example/v1?key=secret", name="The reranker")
    assert client.label == "The reranker at https://rank.example/v1"


def test_a_key_of_several_lines_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match=r"rerank\.api_key") as caught:
        RerankHttpClient("http://localhost", name="The reranker", api_key="secret\nX-Evil: 1")
    assert "secret" not in caught.value.message
