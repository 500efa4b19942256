from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from gateway.embedding.embedder import Embedder, EmbeddingSpace
from gateway.embedding.embedder_factory import choose_embedder, choose_former_embedder
from gateway.embedding.local.builtin import BUILTIN_MODEL, BuiltinEmbedder
from gateway.embedding.local.onnx_model import OnnxEmbedder
from gateway.embedding.local.static_model import STATIC_MODEL, StaticEmbedder
from gateway.embedding.servers.ollama import OllamaEmbedder
from gateway.embedding.servers.openai import OpenAIEmbedder
from gateway.errors import EmbeddingError, SettingsError
from gateway.settings import EmbedderSettings
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.embedding.local.model_folder import copy_model


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


@pytest.mark.parametrize("url", ["http://localhost:11434", "http://localhost:11434/"])
async def test_openai_with_an_address_goes_there_and_nowhere_else_even_to_where_ollama_is(
    log_line: Callable[[], str], url: str
) -> None:
    async with chosen(EmbedderSettings(type="openai", base_url=url, api_key="sk-1")):
        assert "nomic-embed-text at http://localhost:11434/v1" in log_line()


@pytest.mark.parametrize(("prefix", "expected"), [("auto", "search_query: "), ("", "")])
async def test_prefixes_of_the_settings_take_the_place_of_those_that_are_known(
    server: EmbeddingServer, prefix: str, expected: str
) -> None:
    async with chosen(EmbedderSettings(type="ollama", base_url=server.url, query_prefix=prefix)) as embedder:
        assert (await embedder.space()).query_prefix == expected
        await embedder.embed_query("find a file")
    assert server.texts[-1] == f"{expected}find a file"


async def test_the_key_of_openai_is_not_sent_to_ollama(server: EmbeddingServer) -> None:
    async with chosen(EmbedderSettings(base_url=server.url, api_key="sk-1")) as embedder:
        await embedder.embed_query("hello")
    assert {seen.authorization for seen in server.requests} == {None}


async def test_onnx_is_the_model_of_the_folder_that_path_names(
    tmp_path: Path, log_line: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_model(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with chosen(EmbedderSettings(type="onnx", path="~/mine")) as embedder:
        assert (await embedder.embed_query("hello")).shape == (384,)
    assert log_line() == f"Embedder: onnx with the model in {folder}, as embedder.type says."


async def test_onnx_without_a_path_is_refused_with_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"set it to the folder that holds model\.onnx and tokenizer\.json"):
        await choose_embedder(EmbedderSettings(type="onnx"))


async def test_a_folder_without_a_model_is_told_once_a_text_is_to_be_embedded(tmp_path: Path) -> None:
    async with chosen(EmbedderSettings(type="onnx", path=str(tmp_path))) as embedder:
        health = await embedder.check_health()
    assert (health.ok, health.detail) == (False, f"There is no model.onnx in {tmp_path}.")


@pytest.mark.parametrize(
    ("provider", "model", "kind"),
    [
        ("builtin", STATIC_MODEL, StaticEmbedder),
        ("builtin", BUILTIN_MODEL, BuiltinEmbedder),
        ("ollama", "bge-m3", OllamaEmbedder),
        ("openai", "text-embedding-3-large", OpenAIEmbedder),
    ],
)
async def test_what_a_former_embedder_stored_is_searched_with_that_embedder(
    provider: str, model: str, kind: type[Embedder]
) -> None:
    space = EmbeddingSpace(provider, model, 8)
    embedder = await choose_former_embedder(space, EmbedderSettings())
    assert isinstance(embedder, kind)
    assert embedder.matches_space(space)
    await embedder.aclose()


@pytest.mark.parametrize("path", ["former", "other"])
async def test_a_former_model_is_found_at_the_path_and_beside_it(tmp_path: Path, path: str) -> None:
    copy_model(tmp_path / "other")
    former = OnnxEmbedder(copy_model(tmp_path / "former"))
    space = await former.space()
    await former.aclose()
    embedder = await choose_former_embedder(space, EmbedderSettings(path=str(tmp_path / path)))
    assert await embedder.space() == space
    await embedder.aclose()


@pytest.mark.parametrize("gone", ["path", "folder", "content"])
async def test_a_former_model_that_is_gone_is_told_and_no_other_takes_its_place(tmp_path: Path, gone: str) -> None:
    folder = copy_model(tmp_path / "former")
    former = OnnxEmbedder(folder)
    space = await former.space()
    await former.aclose()
    if gone == "folder":
        folder.rename(tmp_path / "elsewhere")
    elif gone == "content":
        (folder / "modelgate.toml").write_text("max_tokens = 32\n")
    path = "" if gone == "path" else str(folder)
    with pytest.raises(EmbeddingError, match=r"are of the model former, which is not at embedder\.path"):
        await choose_former_embedder(space, EmbedderSettings(path=path))


async def test_a_builtin_model_of_another_version_is_told() -> None:
    with pytest.raises(EmbeddingError, match="of the model of-tomorrow, which is not in this version"):
        await choose_former_embedder(EmbeddingSpace("builtin", "of-tomorrow", 8), EmbedderSettings())


async def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(SettingsError):
        await choose_embedder(EmbedderSettings(base_url="localhost"))
