"""`modelgate models`: Ollama's models from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.shell import Shell
from tests.doubles.ollama_server import OllamaServer


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as ollama:
        yield ollama


@pytest.fixture
def shell(ollama: OllamaServer) -> Shell:
    return Shell({"MODELGATE_EMBEDDER_TYPE": "ollama", "MODELGATE_EMBEDDER_URL": ollama.url})


def test_a_model_is_pulled_shown_tested_warmed_copied_and_removed(shell: Shell, ollama: OllamaServer) -> None:
    assert "There is no model yet" in shell.says("models", "list")
    pulled = shell.says("models", "pull", "nomic-embed-text").splitlines()
    assert pulled[:2] == ["pulling manifest", "pulling 330437513712 (45.9 MB)"]
    assert pulled[-1].startswith("nomic-embed-text is there: vectors of 256 dimensions")
    assert "nomic-embed-text:latest  45.9 MB  22.57M" in shell.says("models", "list")
    assert "2048" in shell.says("models", "show", "nomic-embed-text")
    said, vector = shell.says("models", "test", "nomic-embed-text", "weather").splitlines()
    assert said.startswith("256 dimensions in ")
    assert len(json.loads(vector)) == 256
    assert "is loaded" in shell.says("models", "warm", "nomic-embed-text", "--keep-alive", "24h")
    assert ollama.keep_alives[-1] == "24h"
    shell.says("models", "copy", "nomic-embed-text", "spare")
    shell.says("models", "remove", "nomic-embed-text", "spare", "--yes")
    assert ollama.models == ()


def test_removing_goes_on_after_one_that_cannot_be_and_says_what_is_left(shell: Shell, ollama: OllamaServer) -> None:
    ollama.models, ollama.undeletable = ("first", "second", "third"), ("second",)
    said = shell.fails("models", "remove", "first", "nope", "second", "third", "--yes")
    assert list(ollama.models) == ["second"]
    assert "permission denied" in said
    assert "Not removed: nope, second." in said


def test_an_unknown_model_is_one_sentence(shell: Shell) -> None:
    assert "could not pull nope" in shell.fails("models", "pull", "nope")
    assert "does not have the model nope" in shell.fails("models", "test", "nope", "weather")


def test_another_ollama_than_that_of_the_settings_is_asked_at_its_address(ollama: OllamaServer) -> None:
    shell = Shell({"MODELGATE_EMBEDDER_TYPE": "builtin"})
    ollama.models = ("mine",)
    assert "mine" in shell.says("models", "--url", ollama.url, "list")
    assert "has to be a URL" in shell.fails("models", "--url", "ftp://x", "list")
