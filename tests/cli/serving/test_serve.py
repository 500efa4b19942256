"""`modelgate serve`: the link for the first admin, and what stops it before it serves, in one sentence."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import httpx2
import pytest

from gateway.cli.serving.http_server import open_listening_socket
from gateway.errors import PlatformError
from gateway.settings import Settings
from tests.cli.process import ROOT, CommandLine


async def test_a_port_that_is_taken_stops_the_start(modelgate: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await modelgate("serve", MODELGATE_SERVER_PORT=str(port))
    assert ended.code == 1
    assert ended.err.startswith(f"Error: 127.0.0.1:{port} cannot be listened on (Address already in use); ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["servers", "list"]])
async def test_a_data_directory_that_cannot_be_written_stops_the_start(
    modelgate: CommandLine, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    data = str(tmp_path / "file" / "data")
    ended = await modelgate(*command, MODELGATE_DATABASE_URL="", MODELGATE_DATA_DIR=data, MODELGATE_SERVER_PORT="0")
    assert ended.code == 1
    assert ended.err.startswith(f"Error: The data directory {data} cannot be written (Not a directory); ")
    assert ended.err.count("\n") == 1


async def test_a_database_that_cannot_be_reached_stops_the_start(modelgate: CommandLine) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/x"
    ended = await modelgate("serve", MODELGATE_DATABASE_URL=url, MODELGATE_SERVER_PORT="0")
    assert ended.code == 1
    assert ended.err.startswith("Error: The database at 127.0.0.1:1/x cannot be reached (")
    assert "secret" not in ended.err
    assert ended.err.count("\n") == 1


async def test_a_gateway_without_an_admin_prints_a_link_that_makes_one(modelgate: CommandLine) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        cwd=modelgate.folder,
        env={**modelgate.environ, "MODELGATE_SERVER_PORT": "0", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        link = ""
        while "/setup?token=" not in link:
            link = (await process.stdout.readline()).decode()
            assert link
        address, _, token = link.split()[-1].partition("/setup?token=")
        async with httpx2.AsyncClient(base_url=address) as http:
            body = {"token": token, "name": "ada", "password": "a good password"}
            assert (await http.post("/api/v1/setup", json=body)).status_code == 200
    finally:
        process.terminate()
        await process.wait()


def test_on_windows_it_names_what_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(PlatformError, match="WSL"):
        open_listening_socket(Settings())
