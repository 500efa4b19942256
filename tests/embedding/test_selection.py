from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.machinery import ModuleSpec

import anyio
import anyio.to_thread
import pytest

from gateway.embedding.builtin import BuiltinEmbedder
from gateway.embedding.embedder import Embedder
from gateway.embedding.ollama import OllamaEmbedder
from gateway.embedding.openai import OpenAIEmbedder
from gateway.embedding.selection import choose_embedder
from gateway.errors import SettingsError
from gateway.settings import EmbedderSettings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer


@asynccontextmanager
async def chosen(settings: EmbedderSettings) -> AsyncIterator[Embedder]:
    embedder = await choose_embedder(settings)
    yield embedder
    await embedder.aclose()


@pytest.fixture
def log_line(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """The one line that says what was chosen."""
    caplog.set_level(logging.INFO, "gateway")

    def line() -> str:
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.")]
        assert len(lines) == 1
        return lines[0]

    return line


async def test_auto_is_ollama_where_it_answers_with_the_model(
    server: EmbeddingServer, log_line: Callable[[], str]
) -> None:
    async with chosen(EmbedderSettings(base_url=server.url)) as embedder:
        assert isinstance(embedder, OllamaEmbedder)
        assert (await embedder.space()).provider == "ollama"
    assert log_line() == "Embedder: ollama with nomic-embed-text, because it answers and has the model."


async def test_auto_is_builtin_where_ollama_lacks_the_model(
    server: EmbeddingServer, log_line: Callable[[], str]
) -> None:
    async with chosen(EmbedderSettings(base_url=server.url, model="bge-m3")) as embedder:
        assert isinstance(embedder, BuiltinEmbedder)
    assert log_line() == f"Embedder: builtin. Ollama at {server.url} does not have the model bge-m3."


async def test_auto_is_builtin_where_nothing_answers(log_line: Callable[[], str]) -> None:
    async with EmbeddingServer() as server:
        await anyio.to_thread.run_sync(server.stop)
        async with chosen(EmbedderSettings(base_url=server.url)) as embedder:
            assert isinstance(embedder, BuiltinEmbedder)
        assert log_line() == f"Embedder: builtin. Ollama at {server.url} does not answer."


async def test_auto_does_not_wait_for_a_server_that_accepts_and_says_nothing(log_line: Callable[[], str]) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        started = time.monotonic()
        async with chosen(EmbedderSettings(base_url=f"http://127.0.0.1:{port}")) as embedder:
            assert isinstance(embedder, BuiltinEmbedder)
        assert time.monotonic() - started < 5
    assert log_line() == "Embedder: builtin. Ollama did not answer within 1 s."


async def test_auto_stays_with_ollama_where_the_builtin_embedder_is_not_installed(
    server: EmbeddingServer, log_line: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without_wordllama(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "wordllama" else find(name, package)

    monkeypatch.setattr("importlib.util.find_spec", without_wordllama)
    server.fault = Fault.model_missing()
    async with chosen(EmbedderSettings(base_url=server.url)) as embedder:
        assert isinstance(embedder, OllamaEmbedder)
        assert 'pip install "modelgate-mcp[embedded]"' in log_line()
        server.fault = None
        assert (await embedder.embed_query("hello")).shape == (256,)


async def test_a_named_type_is_taken_whether_it_answers_or_not(server: EmbeddingServer) -> None:
    server.fault = Fault.model_missing()
    async with chosen(EmbedderSettings(type="ollama", base_url=server.url)) as embedder:
        assert isinstance(embedder, OllamaEmbedder)
    async with chosen(EmbedderSettings(type="builtin", base_url=server.url)) as embedder:
        assert isinstance(embedder, BuiltinEmbedder)
    assert server.requests == []


@pytest.mark.parametrize("path", ["/", "/api", "/v1/"])
async def test_an_address_of_ollama_with_a_path_that_people_copy_works(server: EmbeddingServer, path: str) -> None:
    async with chosen(EmbedderSettings(type="ollama", base_url=server.url + path)) as embedder:
        assert (await embedder.check_health()).ok


async def test_openai_uses_address_model_and_key_of_the_settings(
    server: EmbeddingServer, log_line: Callable[[], str]
) -> None:
    async with chosen(EmbedderSettings(type="openai", base_url=server.url, api_key="sk-1")) as embedder:
        assert isinstance(embedder, OpenAIEmbedder)
        assert (await embedder.space()).model == "nomic-embed-text"
    assert server.requests[0].authorization == "Bearer sk-1"
    assert log_line() == f"Embedder: openai with nomic-embed-text at {server.url}/v1, as embedder.type says."


async def test_openai_and_nothing_else_means_openais_own_server_and_model(log_line: Callable[[], str]) -> None:
    async with chosen(EmbedderSettings(type="openai", api_key="sk-1")):
        assert "text-embedding-3-small at https://api.openai.com/v1" in log_line()


async def test_the_key_of_openai_is_not_sent_to_ollama(server: EmbeddingServer) -> None:
    async with chosen(EmbedderSettings(base_url=server.url, api_key="sk-1")) as embedder:
        await embedder.embed_query("hello")
    assert {seen.authorization for seen in server.requests} == {None}


async def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(SettingsError):
        await choose_embedder(EmbedderSettings(base_url="localhost"))
