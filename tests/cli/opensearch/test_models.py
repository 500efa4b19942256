"""`modelgate opensearch` on a cluster with ML Commons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.cli.shell import Shell
from tests.doubles.ml_commons_cluster import MlCommonsCluster
from tests.doubles.ollama_server import OllamaServer
from tests.support.serving import open_port


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(models=("all-minilm", "qwen3:0.6b")) as ollama:
        yield ollama


@pytest.fixture
def double() -> MlCommonsCluster:
    return MlCommonsCluster()


@pytest.fixture
def shell(double: MlCommonsCluster, ollama: OllamaServer) -> Iterator[Shell]:
    """Runs commands whose cluster, and Ollama, are the doubles."""
    config = uvicorn.Config(double.app(), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with open_port() as (listening, url):
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield Shell(
            {
                "MODELGATE_CONFIG": "/dev/null",
                "MODELGATE_OPENSEARCH_URLS": url,
                "MODELGATE_EMBEDDER_TYPE": "ollama",
                "MODELGATE_EMBEDDER_URL": ollama.url,
                "MODELGATE_EMBEDDER_MODEL": "all-minilm",
            }
        )
        server.should_exit = True
        thread.join(10)


def test_settings_are_shown_and_changed_only_where_that_is_asked_for(shell: Shell, double: MlCommonsCluster) -> None:
    refused = shell.fails("opensearch", "register", "--kind", "embedding", "--provider", "ollama")
    assert "--apply sets them as shown" in refused
    assert (double.persistent, double.kept["models"]) == ({}, {})
    said = shell.says("opensearch", "register", "--kind", "embedding", "--provider", "ollama", "--apply")
    assert "! plugins.ml_commons.connector.private_ip_enabled: false\n    has to be true" in said
    assert "It makes vectors of 256 dimensions" in said
    assert "Model id: id3" in said
    assert '"text_embedding"' in said
    assert '"neural"' in said


def test_what_is_registered_is_json_for_programs_and_taken_out_by_its_name(
    shell: Shell, double: MlCommonsCluster, ollama: OllamaServer
) -> None:
    ollama.writes = lambda prompt: "Hello\x1b[2J!"
    arguments = ("opensearch", "register", "--kind", "generate", "--model", "qwen3:0.6b", "--name", "mine")
    result = shell.run(*arguments, "--apply", "--json")
    said = json.loads(result.stdout)
    assert said["prediction"]["text"] == "Hello\x1b[2J!"
    assert "\x1b" not in shell.says(*arguments)
    assert [each["name"] for each in said["settings"] if "memory" in each["name"]] == [
        "plugins.ml_commons.memory_feature_enabled"
    ]
    double.stuck = {f"connectors/{said['model']['connector_id']}"}
    left = shell.fails("opensearch", "unregister", "mine", "--yes")
    assert f"Left in the cluster: connector {said['model']['connector_id']} (the shard is not there)." in left
    again = shell.run("opensearch", "unregister", "mine", "--yes", "--json")
    assert again.exit_code == 1
    assert [each["part"] for each in json.loads(again.stdout)["remaining"]] == ["connector"]
    double.stuck = set()
    assert "mine is taken out of the cluster." in shell.says("opensearch", "unregister", "mine", "--yes")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "embedding"), "Give a key of the gateway"),
        (("--kind", "generate"), "Name the language model"),
        (("--kind", "generate", "--model", "m", "--provider", "gateway"), "Text is Ollama's"),
        (("--kind", "generate", "--model", "m", "--template", "ask"), "NAME=TEXT"),
        (("--kind", "generate", "--model", "m", "--template", "ask=@missing.txt"), "cannot be read"),
        (("--kind", "embedding", "--template", "ask=x"), "A template is for text"),
        (("--kind", "embedding", "--provider", "ollama", "--input-type", "query"), "Ollama is not told"),
        (("--kind", "embedding", "--provider", "ollama", "--endpoint", "gateway:8080"), "--endpoint has to be a URL"),
        (("--kind", "embedding", "--key", "mg_x", "--endpoint", "http://127.0.0.1:9"), "name the model with --model"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in shell.fails("opensearch", "register", *arguments)
