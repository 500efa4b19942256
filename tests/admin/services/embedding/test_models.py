"""Ollama's models through the REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.settings import Settings
from tests.admin.conftest import Person, SignInAs
from tests.doubles.ollama_server import SIZE, OllamaServer
from tests.support.audit import audit_rows
from tests.support.gateway import RunningGateway

MODEL = "nomic-embed-text"


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(library=(MODEL, "all-minilm")) as ollama:
        yield ollama


@pytest.fixture
def settings(settings: Settings, ollama: OllamaServer) -> Settings:
    return replace(settings, embedder=replace(settings.embedder, type="auto", base_url=ollama.url))


async def follow(person: Person, **query: str) -> list[dict[str, Any]]:
    """The events of pulls until their end."""
    events, name = [], ""
    async with person.http.stream("GET", "/api/v1/models/pulls/events", params=query) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: ") and name == "pull":
                events.append(json.loads(line.removeprefix("data: ")))
    assert name == "end"
    return events


async def test_a_model_is_pulled_followed_tested_copied_and_removed(
    gateway: RunningGateway, admin: Person, ollama: OllamaServer
) -> None:
    listed = (await admin.get("/models")).json()
    assert (listed["configured"], listed["models"]) == (MODEL, [])
    ollama.hold_pulls()
    started = await admin.post("/models/pulls", {"name": MODEL})
    assert (started.status_code, started.json()["state"]) == (202, "running")
    again = await admin.post("/models/pulls", {"name": f"{MODEL}:latest"})
    assert again.json()["started_at"] == started.json()["started_at"]
    ollama.let_pulls_go()
    events = await follow(admin, name=MODEL)
    assert events[-1]["state"] == "done"
    assert events[-1]["dimensions"] == 256
    assert {event["total"] for event in events} <= {0, SIZE}
    assert len(ollama.pulled_from) == 1

    assert (await admin.get("/models/details", name=MODEL)).json()["dimensions"] == 256
    tested = (await admin.post("/models/test", {"name": MODEL, "text": "weather"})).json()
    assert tested["dimensions"] == len(tested["vector"]) == 256
    assert (await admin.post("/models/warm", {"name": MODEL, "keep_alive": "24h"})).status_code == 200
    assert ollama.keep_alives[-1] == "24h"
    assert (await admin.post("/models/copy", {"name": MODEL, "new_name": "spare"})).status_code == 204
    ollama.undeletable = (MODEL,)
    removal = (await admin.post("/models/remove", {"names": [MODEL, "spare"]})).json()
    assert removal["removed"] == ["spare"]
    assert [(kept["name"], "permission denied" in kept["reason"]) for kept in removal["left"]] == [(MODEL, True)]


async def test_what_goes_wrong_is_said_and_a_pull_is_stopped(
    gateway: RunningGateway, admin: Person, ollama: OllamaServer
) -> None:
    await admin.post("/models/pulls", {"name": "nope"})
    failed = (await follow(admin))[-1]
    assert failed["state"] == "failed"
    assert "could not pull nope" in failed["error"]
    ollama.hold_pulls()
    await admin.post("/models/pulls", {"name": "all-minilm"})
    assert (await admin.delete("/models/pulls", name="all-minilm")).status_code == 204
    assert (await admin.delete("/models/pulls", name="all-minilm")).status_code == 404
    stopped = (await admin.get("/models/pulls")).json()[0]
    assert (stopped["state"], "goes on where it was" in stopped["error"]) == ("failed", True)
    ollama.let_pulls_go()
    assert (await admin.get("/models/details", name="nope")).status_code == 404
    assert (await admin.post("/models/warm", {"name": MODEL, "keep_alive": "zz"})).status_code == 422
    assert (await admin.post("/models/pulls", {"name": "no pe"})).status_code == 422
    ollama.stop()
    answer = await admin.get("/models")
    assert (answer.status_code, "does not answer" in answer.json()["detail"]) == (503, True)
    page = await admin.http.get("/admin/models")
    assert (page.status_code, "does not answer" in page.text) == (200, True)


async def test_only_those_who_run_the_whole_gateway_look_after_models(
    gateway: RunningGateway, viewer: Person, sign_in_as: SignInAs
) -> None:
    assert (await viewer.get("/models")).status_code == 200
    assert (await viewer.post("/models/pulls", {"name": MODEL})).status_code == 403
    guest = await sign_in_as("gus", "admin", ["default"])
    assert (await guest.get("/models")).status_code == 403
    assert (await guest.post("/models/remove", {"names": [MODEL]})).status_code == 403


async def test_who_changed_models_is_in_the_audit_log(
    gateway: RunningGateway, admin: Person, ollama: OllamaServer
) -> None:
    await admin.post("/models/pulls", {"name": MODEL})
    await follow(admin)
    await admin.post("/models/remove", {"names": [MODEL]})
    rows = await audit_rows(gateway.parts.database, action="model.", tenant=0, wanted=2)
    assert [(row["action"], row["actor_name"], row["target"]) for row in rows] == [
        ("model.removed", "ada", MODEL),
        ("model.pulled", "ada", MODEL),
    ]
