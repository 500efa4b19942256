"""Models brought into a cluster and taken out again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import MlCommonsError, NotFoundError, OpenSearchAliasError
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.model_registration import ModelRegistration
from gateway.ml_commons.needed_settings import NeededSettings
from gateway.ml_commons.prediction import PredictionClient
from gateway.ml_commons.remote_model import GatewayEmbedding, OllamaEmbedding, OllamaText, RemoteModel
from tests.doubles.ollama_server import OllamaServer
from tests.ml_commons.conftest import ServedCluster
from tests.support.gateway import RunningGateway


async def trust(client: ClusterClient, model: RemoteModel) -> None:
    settings = NeededSettings(client)
    await settings.apply(await settings.check(model))


async def test_a_gateways_embedder_is_registered_once_and_brought_up_to_date(
    client: ClusterClient, cluster_of_models: ServedCluster, gateway: RunningGateway
) -> None:
    space = (await gateway.parts.spaces.active_space()).space
    first = await gateway.parts.keys.create(1, "cluster", ["all"], rights=["embed"])
    model = GatewayEmbedding("mine", "embedding", space.model, gateway.url, key=first.key)
    with pytest.raises(MlCommonsError, match="not matching the trusted connector endpoint regex"):
        await ModelRegistration(client).register(model, "group")
    await trust(client, model)
    registered = await ModelRegistration(client).register(model, "group")
    assert registered.state == "DEPLOYED"
    assert (await PredictionClient(client).embed(registered.id, "a text")).dimensions == space.dimensions

    second = await gateway.parts.keys.create(1, "cluster", ["all"], rights=["embed"])
    await gateway.parts.keys.revoke(1, first.id)
    with pytest.raises(MlCommonsError, match="has been revoked"):
        await PredictionClient(client).embed(registered.id, "a text")
    again = await ModelRegistration(client).register(replace(model, key=second.key), "group")
    assert again == registered
    assert (await PredictionClient(client).embed(registered.id, "a text")).dimensions == space.dimensions
    assert {what: len(kept) for what, kept in cluster_of_models.double.kept.items()} == {
        "model_groups": 1,
        "connectors": 1,
        "models": 1,
    }


async def test_an_ollama_gives_vectors_and_text(
    client: ClusterClient, cluster_of_models: ServedCluster, ollama: OllamaServer
) -> None:
    ollama.writes = lambda prompt: f"You said: {prompt}"
    embedding = OllamaEmbedding("vectors", "embedding", "all-minilm", ollama.url)
    text = OllamaText("text", "generate", "qwen3:0.6b", ollama.url, templates={"ask": 'Say "{what}"'})
    await trust(client, embedding)
    registration = ModelRegistration(client)
    first = await registration.register(embedding, "group")
    second = await registration.register(text, "group")
    assert first.group_id == second.group_id
    assert (await PredictionClient(client).embed(first.id, "a text")).dimensions == ollama.dimensions
    assert (await PredictionClient(client).generate(second.id, 'Hi "you"\n')).text == 'You said: Hi "you"\n'
    filled = {"parameters": {"prompt": "${parameters.ask}", "what": "a\nb"}}
    await client.request("POST", f"/_plugins/_ml/models/{second.id}/_predict", filled)
    assert ollama.prompts[-1] == 'Say "a\nb"'
    ollama.writes = lambda prompt: ""
    with pytest.raises(MlCommonsError, match="had no text"):
        await PredictionClient(client).generate(second.id, "Hi")
    # One of the group's models goes, the group stays for the other.
    await registration.unregister("vectors", "group")
    assert list(cluster_of_models.double.kept["model_groups"]) == [first.group_id]
    await registration.unregister("text", "group")
    assert not any(cluster_of_models.double.kept.values())


async def test_taking_out_goes_on_after_a_step_that_fails_and_says_what_is_left(
    client: ClusterClient, cluster_of_models: ServedCluster, ollama: OllamaServer
) -> None:
    model = OllamaEmbedding("mine", "embedding", "all-minilm", ollama.url)
    await trust(client, model)
    steps: list[str] = []
    registration = ModelRegistration(client, steps.append)
    registered = await registration.register(model, "group")
    cluster_of_models.double.stuck = {f"models/{registered.id}"}
    result = await registration.unregister("mine", "group")
    assert [(each.part, each.id) for each in result.remaining] == [
        ("model", registered.id),
        ("connector", registered.connector_id),
    ]
    assert "the shard is not there" in result.remaining[0].reason
    assert result.removed == (f"deployment of model {registered.id}",)
    # The group is left by a second failure, when nothing but its name leads to it.
    cluster_of_models.double.stuck = {f"model_groups/{registered.group_id}"}
    result = await registration.unregister("mine", "group")
    assert [each.part for each in result.remaining] == ["model group"]
    cluster_of_models.double.stuck = set()
    assert (await registration.unregister("mine", "group")).remaining == ()
    assert not any(cluster_of_models.double.kept.values())
    with pytest.raises(NotFoundError, match="no model and no connector named mine"):
        await registration.unregister("mine", "group")


async def test_what_somebody_else_has_called_so_is_neither_changed_nor_deleted(
    client: ClusterClient, cluster_of_models: ServedCluster, ollama: OllamaServer
) -> None:
    model = OllamaEmbedding("mine", "embedding", "all-minilm", ollama.url)
    await trust(client, model)
    registration, kept = ModelRegistration(client), cluster_of_models.double.kept
    connector = {**model.connector(), "description": "of the search team"}
    others = await client.request("POST", "/_plugins/_ml/connectors/_create", connector)
    body = {"name": "mine", "function_name": "remote", "connector_id": others["connector_id"]}
    await client.request("POST", "/_plugins/_ml/models/_register", body)
    group = await client.request("POST", "/_plugins/_ml/model_groups/_register", {"name": "theirs"})
    before = {what: dict(each) for what, each in kept.items()}
    for work in (registration.register(model, "theirs"), registration.unregister("mine", "theirs")):
        with pytest.raises(OpenSearchAliasError, match="named mine that modelgate did not register; choose another"):
            await work
    assert kept == before
    # One that has a name of its own goes, and its group, which is theirs, stays.
    own = await registration.register(replace(model, name="other"), "theirs")
    assert own.group_id == group["model_group_id"]
    assert (await registration.unregister("other", "theirs")).remaining == ()
    assert kept == before
    # A connector that was put in the place of the model's own is left, too.
    own = await registration.register(replace(model, name="other"), "theirs")
    kept["models"][own.id]["connector_id"] = others["connector_id"]
    assert (await registration.unregister("other", "theirs")).remaining == ()
    assert kept == before


async def test_a_model_that_cannot_be_brought_up_to_date_answers_as_before(
    client: ClusterClient, cluster_of_models: ServedCluster, ollama: OllamaServer
) -> None:
    model = OllamaEmbedding("mine", "embedding", "all-minilm", ollama.url)
    await trust(client, model)
    registered = await ModelRegistration(client).register(model, "group")
    with pytest.raises(MlCommonsError, match="not matching the trusted connector endpoint regex"):
        await ModelRegistration(client).register(replace(model, endpoint="http://elsewhere.example:11434"), "group")
    assert cluster_of_models.double.kept["models"][registered.id]["model_state"] == "DEPLOYED"
    assert (await PredictionClient(client).embed(registered.id, "a text")).dimensions == ollama.dimensions


async def test_a_model_of_another_connector_goes_on_answering_while_one_is_brought_up_to_date(
    client: ClusterClient, cluster_of_models: ServedCluster, ollama: OllamaServer
) -> None:
    model = OllamaEmbedding("mine", "embedding", "all-minilm", ollama.url)
    await trust(client, model)
    former = await ModelRegistration(client).register(model, "group")
    await client.request("POST", "/_plugins/_ml/connectors/_create", model.connector())
    later = await ModelRegistration(client).register(model, "group")
    assert later.connector_id != former.connector_id
    states = {id_: each["model_state"] for id_, each in cluster_of_models.double.kept["models"].items()}
    assert states == {former.id: "DEPLOYED", later.id: "DEPLOYED"}


async def test_a_model_that_does_not_answer_is_told_with_the_words_of_its_server(
    client: ClusterClient, ollama: OllamaServer
) -> None:
    model = OllamaText("mine", "generate", "nope", ollama.url)
    await trust(client, model)
    registered = await ModelRegistration(client).register(model, "group")
    with pytest.raises(MlCommonsError, match="model 'nope' not found"):
        await PredictionClient(client).generate(registered.id, "Hi")
