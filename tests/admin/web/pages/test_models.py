"""Ollama's models by their forms, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.settings import Settings
from tests.admin.conftest import Person
from tests.doubles.ollama_server import OllamaServer

HERE = "/admin/models"
MODEL = "all-minilm"


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(models=(MODEL,), library=("nomic-embed-text",)) as ollama:
        yield ollama


@pytest.fixture
def settings(settings: Settings, ollama: OllamaServer) -> Settings:
    return replace(settings, embedder=replace(settings.embedder, type="auto", base_url=ollama.url))


def _alert(text: str) -> str:
    return text.partition('role="alert">')[2].partition("<")[0]


async def test_a_pull_is_stopped_and_a_name_that_is_none_is_refused(admin: Person, ollama: OllamaServer) -> None:
    refused = await admin.http.post(f"{HERE}/pull", data={"name": "no such <name>"})
    assert (refused.status_code, 'id="name-error"' in refused.text) == (422, True)
    assert 'value="no such &lt;name&gt;"' in refused.text
    ollama.hold_pulls()
    try:
        assert (await admin.http.post(f"{HERE}/pull", data={"name": "nomic-embed-text"})).status_code == 303
        assert f'data-live="{HERE}/events"' in (await admin.http.get(HERE)).text
        assert (await admin.http.post(f"{HERE}/stop", data={"name": "nomic-embed-text"})).headers["location"] == HERE
    finally:
        ollama.let_pulls_go()
    assert "It was stopped" in (await admin.http.get(HERE)).text
    again = await admin.http.post(f"{HERE}/stop", data={"name": "nomic-embed-text"})
    assert (again.status_code, "No pull of nomic-embed-text runs." in again.text) == (404, True)


async def test_a_model_is_copied_and_what_is_not_there_is_said(admin: Person, ollama: OllamaServer) -> None:
    assert (await admin.http.post(f"{HERE}/copy", data={"name": MODEL, "new_name": "spare"})).headers[
        "location"
    ] == HERE
    assert "<bdi>spare" in (await admin.http.get(HERE)).text
    for form, sent in (
        ("copy", {"name": "gone", "new_name": "other"}),
        ("test", {"name": "gone", "text": "weather"}),
        ("warm", {"name": "gone"}),
        ("remove", {"name": "gone"}),
    ):
        refused = await admin.http.post(f"{HERE}/{form}", data=sent)
        assert refused.status_code in (404, 422), form
        assert "gone" in _alert(refused.text), form
        # The page is there all the same.
        assert "<bdi>spare" in refused.text, form
    for form, sent in (("copy", {"name": MODEL, "new_name": " "}), ("test", {"name": MODEL, "text": ""})):
        refused = await admin.http.post(f"{HERE}/{form}", data=sent)
        assert (refused.status_code, bool(_alert(refused.text))) == (422, True), form


async def test_while_ollama_is_away_every_form_says_so(admin: Person, ollama: OllamaServer) -> None:
    ollama.stop()
    for form, sent in (("copy", {"new_name": "other"}), ("test", {"text": "weather"}), ("warm", {}), ("remove", {})):
        answer = await admin.http.post(f"{HERE}/{form}", data={"name": MODEL, **sent})
        assert "does not answer" in _alert(answer.text), form
    await admin.http.post(f"{HERE}/pull", data={"name": "nomic-embed-text"})
    async with admin.http.stream("GET", f"{HERE}/events") as stream:
        told = "".join([line async for line in stream.aiter_lines()])
    assert "does not answer" in told
