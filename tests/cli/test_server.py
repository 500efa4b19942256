"""`modelgate servers …` on one server, as a person types it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx2
import pytest

from gateway.settings import Settings
from tests.doubles.http_api import HttpApi
from tests.doubles.oauth_server import OAuthServer
from tests.upstream.conftest import serving

RAW = Path(__file__).parents[1] / "upstream" / "servers" / "raw.py"
SECRET = "s3cret-that-nobody-may-see"

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
        "MODELGATE_CONFIG": str(tmp_path / "config.toml"),
    }


@pytest.fixture
def typed(environment: dict[str, str], tmp_path: Path) -> Typed:
    """Runs `modelgate servers` with arguments."""
    (tmp_path / "config.toml").touch()

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", "servers", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    return run


async def test_a_server_is_checked_tuned_shown_and_switched_off(typed: Typed) -> None:
    typed("add", "Raw", sys.executable, "--env", f"TOKEN={SECRET}", "--", "-I", "-S", str(RAW), "handshake")
    assert re.search(r"Raw answers in [\d.]+ ms", typed("check", "Raw").stdout)
    typed("set", "Raw", "--call-timeout", "5", "--session", "per_client", "--sync-every", "0", "--disable")
    shown = typed("show", "raw").stdout
    assert re.search(r"call_timeout_seconds: +5", shown)
    assert re.search(r"Session: +per_client", shown)
    assert re.search(r"State: +disabled", shown)
    assert re.search(r"Environment: +TOKEN", shown)
    assert SECRET not in shown
    assert typed("set", "Raw", "--max-calls", "0", code=1).stderr.startswith("Error: max_calls_in_flight has to be")


async def test_a_server_that_does_not_answer_is_told(typed: Typed) -> None:
    typed("add", "Gone", sys.executable, "--", "-I", "-S", str(RAW), "exit")
    ended = typed("check", "Gone", code=1)
    assert "exited with code 7" in ended.stderr
    assert re.search(r"Gone .* failing", typed("list").stdout)


async def test_a_secret_is_kept_and_not_shown(typed: Typed) -> None:
    typed("add", "Locked", "https://locked.example/mcp?key=hidden", "--bearer", SECRET)
    shown = typed("show", "Locked").stdout
    assert re.search(r"Credential: +bearer", shown)
    assert SECRET not in shown
    assert "hidden" not in shown
    typed("set", "Locked", "--no-credential")
    assert re.search(r"Credential: +none", typed("show", "Locked").stdout)
    both = typed("add", "Two", "https://two.example", "--bearer", "x", "--basic", "a:b", code=1)
    assert "Give one of --bearer" in both.stderr


async def test_an_api_is_added_by_its_document(typed: Typed) -> None:
    async with serving(HttpApi().app()) as base:

        def add_and_check() -> str:
            typed("add", "Pets", f"{base}/openapi.json", "--openapi")
            typed("check", "Pets")
            return typed("show", "Pets").stdout

        shown = await anyio.to_thread.run_sync(add_and_check)
    assert re.search(r"Transport: +openapi", shown)
    assert re.search(r"Health: +connected", shown)


async def test_somebody_signs_in_at_a_terminal(typed: Typed, environment: dict[str, str]) -> None:
    server = OAuthServer()
    async with serving(server.app()) as url:
        server.base = url
        await anyio.to_thread.run_sync(lambda: typed("add", "Vault", f"{url}/mcp", "--sign-in"))
        command = [sys.executable, "-m", "gateway", "servers", "login", "Vault"]
        async with await anyio.open_process(command, env={**environment, "PYTHONUNBUFFERED": "1"}) as process:
            assert process.stdout is not None
            said = b""
            while b"\n\n" not in said.partition(b"http")[2]:
                said += await process.stdout.receive()
            address = re.search(rb"https?://\S+", said)
            assert address is not None
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                assert "close this page" in (await browser.get(address[0].decode())).text
            assert await process.wait() == 0
        checked = await anyio.to_thread.run_sync(lambda: typed("check", "Vault"))
    assert "Vault answers in" in checked.stdout
