"""`modelgate doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.cli.doctor.machine import check_clock, check_data_folder, check_programs
from gateway.cli.doctor.parts import check_embedder
from gateway.embedding.embedder_factory import choose_embedder
from gateway.settings import EmbedderSettings, ServerSettings, Settings
from tests.cli.process import CommandLine
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer
from tests.support.gateway import LOCAL_MCP


async def test_what_is_in_order_and_what_is_not_is_said_with_what_to_do(modelgate: CommandLine) -> None:
    healthy = await modelgate("doctor", "--json", MODELGATE_SERVER_PORT="0")
    assert healthy.code == 0, healthy.out
    found = {each["part"]: each for each in json.loads(healthy.out)}
    parts = {"settings", "data folder", "disk", "port", "embedder", "database", "clock", "npx", "uvx", "docker"}
    assert parts | {"servers"} == set(found)
    assert "pgvector" in found["database"]["detail"]
    assert found["servers"]["next_step"] == "Add one with modelgate servers add."

    await modelgate.succeed("servers", "add", "Gone", "--", "no-such-program-here")
    assert (await modelgate("sync")).code == 1
    await modelgate.succeed("servers", "add", "Local MCP", "--", sys.executable, str(LOCAL_MCP))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        sick = await modelgate("doctor", MODELGATE_SERVER_PORT=str(number), MODELGATE_EMBEDDER_TYPE="ollama")
    assert sick.code == 1
    assert f"127.0.0.1:{number} cannot be listened on" in sick.out
    assert "[port]" in sick.out
    assert "server.port to another port" in sick.out
    assert "[embedder-unavailable]" in sick.out
    assert "no-such-program-here" in sick.out
    assert "modelgate servers check 'Gone' tries it" in sick.out
    assert "It was never synced." in sick.out
    assert sick.out.endswith(" problems.\n")


async def test_a_database_that_does_not_answer_is_one_of_the_findings(modelgate: CommandLine) -> None:
    ended = await modelgate("doctor", "--json", MODELGATE_DATABASE_URL="postgresql://127.0.0.1:1/x")
    found = {each["part"]: each for each in json.loads(ended.out)}
    assert (ended.code, found["database"]["state"], found["database"]["code"]) == (1, "problem", "database")


async def test_settings_that_contradict_each_other_are_one_of_the_findings(modelgate: CommandLine) -> None:
    audit = {"MODELGATE_AUDIT_QUERIES": "hash"}
    ended = await modelgate("doctor", "--json", **audit, MODELGATE_LEARN_FROM_USE="observe")
    found = {each["part"]: each for each in json.loads(ended.out)}
    assert (ended.code, found["settings"]["state"], found["settings"]["code"]) == (1, "problem", "settings")
    assert "learn.from_use" in found["settings"]["detail"]
    assert "audit.queries" in found["settings"]["detail"]


async def test_an_embedder_whose_vectors_cannot_be_used_is_told() -> None:
    async with EmbeddingServer() as server:
        server.fault = Fault.value("NaN")
        embedder = await choose_embedder(EmbedderSettings(type="ollama", base_url=server.url))
        found = await check_embedder(embedder)
        await embedder.aclose()
    assert (found.state, found.code) == ("problem", "embedder-unavailable")
    assert "a vector with NaN or infinity in it" in found.detail
    assert "choose another embedder.model" in found.next_step


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(server=ServerSettings(data_dir=str(tmp_path / "file")))
    assert [(each.state, each.part) for each in check_data_folder(settings)] == [("problem", "data folder")]


def test_a_clock_that_is_apart_from_the_databases_is_told() -> None:
    now = datetime.now(timezone.utc)
    assert check_clock(now).state == "ok"
    assert "s apart" in check_clock(now - timedelta(hours=1)).detail


def test_a_program_is_missed_only_where_a_server_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    found = {each.part: each for each in check_programs({"npx": ["Files"], "mine": ["Other"]})}
    assert found["npx"].state == found["mine"].state == "problem"
    assert "Files needs it" in found["npx"].detail
    assert found["docker"].state == "ok"
