"""Ollama's models: pulled to their end whatever cuts them off, and every fault named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.backoff import Backoff
from gateway.embedding.servers.ollama_models import OllamaModels
from gateway.errors import EmbedderUnavailableError, EmbeddingError, NotFoundError
from tests.doubles.embedding_faults import Fault
from tests.doubles.ollama_server import SIZE, OllamaServer, PullFault

MODEL = "nomic-embed-text"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
async def models(server: OllamaServer) -> AsyncIterator[OllamaModels]:
    quick = Backoff(first_seconds=0.001, longest_seconds=0.01)
    async with OllamaModels(server.url, stall_seconds=2.0, backoff=quick) as models:
        yield models


async def pull(models: OllamaModels, name: str = MODEL) -> list[tuple[str, int]]:
    return [(step.status, step.completed) async for step in models.pull(name)]


async def test_a_pull_tells_each_step_and_ends_with_the_model(models: OllamaModels) -> None:
    steps = await pull(models)
    assert steps[0] == ("pulling manifest", 0)
    assert [completed for status, completed in steps if status == "pulling 330437513712"] == [
        SIZE // 4,
        SIZE // 2,
        SIZE,
    ]
    assert steps[-1] == ("success", 0)
    assert [each.name for each in await models.installed()] == ["nomic-embed-text:latest"]


@pytest.mark.parametrize("fault", ["cut", "stalled"])
async def test_a_pull_that_is_cut_off_or_stands_still_goes_on_where_it_was(
    models: OllamaModels, server: OllamaServer, fault: PullFault
) -> None:
    server.pull_fault, server.faulty_pulls = fault, 1
    steps = await pull(models)
    assert ("cut off, going on", 0) in steps
    assert steps[-1] == ("success", 0)
    assert server.pulled_from == [0, SIZE // 2]


async def test_a_pull_that_is_cut_off_often_comes_to_its_end_as_long_as_each_time_brings_more(
    models: OllamaModels, server: OllamaServer
) -> None:
    server.pull_fault = "cut_early"
    assert (await pull(models))[-1] == ("success", 0)
    assert server.pulled_from == [SIZE // 8 * eighths for eighths in range(9)]


async def test_a_pull_that_is_cut_off_again_and_again_is_given_up(models: OllamaModels, server: OllamaServer) -> None:
    server.pull_fault = "cut"
    with pytest.raises(
        EmbedderUnavailableError, match=r"broke off the pull of nomic-embed-text 5 times in a row.*goes on where"
    ):
        await pull(models)
    # What came of the second try before it was cut off may be more than of the first.
    assert server.pulled_from[-4:] == [server.pulled_from[-1]] * 4
    assert len(server.pulled_from) <= 6
    assert await models.installed() == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("disk_full", r"no space left on device\); make room on the disk"),
        ("no_network", r"no such host\); see whether that server reaches"),
        ("retries", r"max retries exceeded.*goes on where it was"),
        ("unknown_error", r"\(something \[2J else\); look into that server's log"),
    ],
)
async def test_an_error_in_the_last_line_is_named_with_what_to_do_and_not_tried_again(
    models: OllamaModels, server: OllamaServer, fault: PullFault, said: str
) -> None:
    server.pull_fault = fault
    with pytest.raises(EmbeddingError, match=said):
        await pull(models)
    assert len(server.pulled_from) == 1


async def test_an_unknown_or_impossible_name_is_said(models: OllamaModels) -> None:
    with pytest.raises(EmbeddingError, match=r"could not pull nope \(.*does not exist\); look for its name"):
        await pull(models, "nope")
    with pytest.raises(EmbeddingError, match=r"\(invalid model name\); look for its name"):
        await pull(models, "no pe")
    with pytest.raises(NotFoundError, match=r"does not have the model nope; modelgate models pull nope"):
        await models.show("nope")
    with pytest.raises(NotFoundError, match="does not have the model nope"):
        await models.copy("nope", "spare")


async def test_what_is_no_ollama_or_not_there_is_said(models: OllamaModels, server: OllamaServer) -> None:
    async with OllamaModels(server.url + "/other") as elsewhere:
        with pytest.raises(EmbeddingError, match="check that this is the address of an Ollama"):
            await pull(elsewhere)
    server.stop()
    with pytest.raises(EmbedderUnavailableError, match="does not answer"):
        await pull(models)
    with pytest.raises(EmbedderUnavailableError, match="does not answer"):
        await models.installed()


async def test_a_model_that_makes_no_vectors_of_the_size_it_says_is_an_error(
    models: OllamaModels, server: OllamaServer
) -> None:
    server.models = (MODEL,)
    server.fault = Fault.dimensions(100)
    with pytest.raises(EmbeddingError, match="says that it has 256 dimensions, and gave a vector of 100"):
        await models.test(MODEL, "weather")
    server.fault = None
    assert len((await models.test(MODEL, "\udc80 weather")).vector) == 256
    server.fault = Fault.zeros()
    with pytest.raises(EmbeddingError, match="zeros"):
        await models.test(MODEL, "weather")


async def test_a_model_stays_loaded_for_as_long_as_is_asked(models: OllamaModels, server: OllamaServer) -> None:
    server.models = (MODEL,)
    assert len((await models.test(MODEL, "weather", "30m")).vector) == 256
    await models.test(MODEL, "weather", "-1")
    assert server.keep_alives == ["30m", -1]
    with pytest.raises(EmbeddingError, match="invalid duration"):
        await models.test(MODEL, "weather", "zz")
