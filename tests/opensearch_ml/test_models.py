"""Models of a gateway and of an Ollama in a real cluster: registered, used as its own users do, and taken out again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from tests.cli.process import CommandLine
from tests.doubles.ollama_server import OllamaServer
from tests.support.gateway import RunningGateway, add_local_mcp

EXAMPLE = Path(__file__).parents[2] / "examples" / "ask_with_tools.py"


@pytest.fixture
async def cluster_http(ml_node: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=ml_node, timeout=60) as client:
        yield client


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(models=("all-minilm", "qwen3:0.6b")) as ollama:
        yield ollama


@pytest.fixture
def modelgate(ml_node: str, tmp_path: Path) -> CommandLine:
    """Runs `modelgate opensearch` with arguments on the node's cluster."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")}
    own = {"MODELGATE_CONFIG": "/dev/null", "MODELGATE_OPENSEARCH_URLS": ml_node}
    return CommandLine({**environ, **own}, tmp_path, ("opensearch",))


async def embed_key(gateway: RunningGateway) -> str:
    return (await gateway.parts.keys.create(1, "cluster", ["all"], rights=["embed"])).key


async def nearest(cluster_http: httpx2.AsyncClient, requests: list[dict[str, Any]], text: str) -> list[str]:
    """The texts of some documents by their nearness to `text`, with the pipeline, the index and the query printed."""
    pipeline, index, query = requests
    for each in (pipeline, index):
        response = await cluster_http.request(each["method"], each["path"], json=each["body"])
        assert response.status_code == 200, response.text
    try:
        for written in ("the cat sleeps on the sofa", "share prices fall", "a dog barks"):
            put = await cluster_http.post(f"{index['path']}/_doc?refresh=true", json={"text": written})
            assert put.status_code == 201, put.text
        body = json.loads(json.dumps(query["body"]).replace("what is looked for", text))
        found = (await cluster_http.request(query["method"], query["path"], json=body)).json()
        return [hit["_source"]["text"] for hit in found["hits"]["hits"]]
    finally:
        await cluster_http.delete(index["path"])


async def test_documents_are_embedded_by_the_gateway_and_found_by_a_neural_query(
    gateway: RunningGateway, modelgate: CommandLine, cluster_http: httpx2.AsyncClient
) -> None:
    modelgate = replace(modelgate, environ={**modelgate.environ, "MODELGATE_API_KEY": await embed_key(gateway)})
    register = ("register", "--kind", "embedding", "--endpoint", gateway.url, "--json")
    refused = await modelgate.fail(*register)
    assert "! plugins.ml_commons.trusted_connector_endpoints_regex: 11 of them" in refused
    assert "--apply" in refused
    said = json.loads(await modelgate.succeed(*register, "--apply"))
    dimensions = (await gateway.parts.spaces.active_space()).space.dimensions
    assert (said["model"]["state"], said["prediction"]["dimensions"]) == ("DEPLOYED", dimensions)
    assert (await nearest(cluster_http, said["next"], "stock market"))[0] == "share prices fall"

    again = json.loads(await modelgate.succeed(*register))
    assert again["model"]["id"] == said["model"]["id"]

    assert "is taken out" in await modelgate.succeed("unregister", "modelgate-embedding", "--yes")
    for what, id_ in (("models", "id"), ("connectors", "connector_id"), ("model_groups", "group_id")):
        gone = await cluster_http.get(f"/_plugins/_ml/{what}/{said['model'][id_]}")
        assert gone.status_code == 404, gone.text
    assert "no model and no connector" in await modelgate.fail("unregister", "modelgate-embedding", "--yes")


async def test_vectors_of_an_ollama_are_taken_with_all_their_digits(
    ollama: OllamaServer, modelgate: CommandLine, cluster_http: httpx2.AsyncClient
) -> None:
    register = ("register", "--kind", "embedding", "--provider", "ollama", "--model", "all-minilm", "--json")
    said = json.loads(await modelgate.succeed(*register, "--endpoint", ollama.url, "--apply"))
    assert said["prediction"]["dimensions"] == 256
    assert (await nearest(cluster_http, said["next"], "stock market"))[0] == "share prices fall"
    await modelgate.succeed("unregister", "modelgate-embedding", "--yes")


async def test_a_key_that_is_revoked_is_told_and_another_one_takes_its_place(
    gateway: RunningGateway, modelgate: CommandLine
) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    key = await gateway.parts.keys.create(tenant.id, "cluster", ["all"], rights=["embed"])
    model = (await gateway.parts.spaces.active_space()).space.model
    register = ("register", "--kind", "embedding", "--endpoint", gateway.url, "--model", model, "--name", "mine")
    await modelgate.succeed(*register, "--key", key.key, "--apply")
    await gateway.parts.keys.revoke(tenant.id, key.id)
    failed = await modelgate(*register, "--key", key.key)
    assert failed.code == 1
    assert "The API key has been revoked" in failed.err
    assert key.key not in failed.err
    assert "Model id" in await modelgate.succeed(*register, "--key", await embed_key(gateway))
    await modelgate.succeed("unregister", "mine", "--yes")


async def test_what_cannot_be_taken_out_is_said_and_the_rest_is_taken_out(
    ollama: OllamaServer, modelgate: CommandLine, cluster_http: httpx2.AsyncClient
) -> None:
    register = ("register", "--kind", "embedding", "--provider", "ollama", "--model", "all-minilm", "--name", "shared")
    said = json.loads(await modelgate.succeed(*register, "--endpoint", ollama.url, "--apply", "--json"))
    other = await cluster_http.post(
        "/_plugins/_ml/models/_register",
        json={"name": "other", "function_name": "remote", "connector_id": said["model"]["connector_id"]},
    )
    failed = await modelgate("unregister", "shared", "--yes")
    assert failed.code == 1
    assert f"Left in the cluster: connector {said['model']['connector_id']}" in failed.err
    assert f"model {said['model']['id']} is deleted" in failed.err
    await cluster_http.delete(f"/_plugins/_ml/models/{other.json()['model_id']}")
    await modelgate.succeed("unregister", "shared", "--yes")


async def test_a_language_model_says_which_tool_is_to_be_called(
    gateway: RunningGateway,
    ollama: OllamaServer,
    modelgate: CommandLine,
    cluster_http: httpx2.AsyncClient,
    tmp_path: Path,
) -> None:
    ollama.writes = lambda prompt: 'Sure: {"name": "local_mcp__calculator", "arguments": {"expression": "6 * 7"}}'
    register = ("register", "--kind", "generate", "--endpoint", ollama.url, "--model", "qwen3:0.6b", "--apply")
    said = await modelgate(*register, "--template", 'ask=Answer "briefly":\n{question}')
    assert said.code == 0, said.err
    assert "plugins.ml_commons.memory_feature_enabled: true" in said.err
    assert ollama.prompts == ["Say hello."]
    found = re.search(r"Model id: (\S+)", said.out)
    assert found is not None
    path = f"/_plugins/_ml/models/{found[1]}/_predict"
    odd = 'He said "\\n" and {x}\n\t…'
    await cluster_http.post(path, json={"parameters": {"prompt": "${parameters.ask}", "question": odd}})
    assert ollama.prompts[-1] == f'Answer "briefly":\n{odd}'

    await add_local_mcp(gateway.parts, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), gateway.mcp, str(cluster_http.base_url), found[1], 'What is "6 * 7"?'),
        env={**os.environ, "MODELGATE_API_KEY": gateway.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    assert 'local_mcp__calculator({"expression": "6 * 7"}) says' in out.decode()
    assert "42" in out.decode()
    assert 'Question: What is "6 * 7"?' in ollama.prompts[-1]
    assert "local_mcp__calculator" in ollama.prompts[-1]
    await modelgate.succeed("unregister", "modelgate-generate", "--yes")
