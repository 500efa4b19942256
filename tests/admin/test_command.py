"""`modelgate admin`, as a user types it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from gateway.admin.accounts.account import Accounts
from gateway.admin.accounts.password import PasswordHasher
from gateway.app import Components
from tests.support.gateway import LOCAL_MCP

Run = Callable[..., Awaitable[tuple[int | None, str, str]]]


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODELGATE_")},
        "MODELGATE_DATABASE_URL": database_url,
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(tmp_path / "data"),
        "MODELGATE_SERVER_PORT": "0",
        "PYTHONPATH": str(LOCAL_MCP.parents[1]),
    }


@pytest.fixture
def admin(environ: dict[str, str], tmp_path: Path) -> Run:
    """Runs `modelgate admin` with these arguments and this on its standard input; code, output and errors."""

    async def run(*arguments: str, given: str = "") -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "admin", *arguments),
            cwd=tmp_path,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(given.encode())
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()

    return run


async def test_an_admin_is_made_listed_given_a_password_and_removed(admin: Run, parts: Components) -> None:
    code, out, err = await admin("create", "ada", "--password-stdin", given="a good password\n")
    assert (code, "can sign in" in out) == (0, True), err
    await admin(
        "create", "vic", "--role", "viewer", "--tenant", "default", "--password-stdin", given="a good one too\n"
    )
    _, out, _ = await admin("list")
    assert [line.split()[1:4] for line in out.splitlines()[1:]] == [
        ["ada", "admin", "all"],
        ["vic", "viewer", "default"],
    ]
    assert (await admin("password", "vic", "--password-stdin", given="yet another one\n"))[0] == 0
    row = await parts.database.fetchrow("admin_password", "vic")
    assert row is not None
    assert (await PasswordHasher().verify(row["password_hash"], "yet another one")).correct
    assert (await admin("remove", "vic"))[0] == 0
    assert [account.name for account in await Accounts(parts.database, PasswordHasher()).list()] == ["ada"]


async def test_a_bad_password_or_name_is_told_in_a_sentence(admin: Run) -> None:
    code, _, err = await admin("create", "ada", "--password-stdin", given="short\n")
    assert (code, "10 to 1000 characters" in err) == (1, True)
    code, _, err = await admin("remove", "nobody")
    assert (code, err) == (1, "Error: There is no admin 'nobody'; `modelgate admin list` shows all.\n")


async def test_a_gateway_without_an_admin_prints_a_link_that_makes_one(environ: dict[str, str], tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        cwd=tmp_path,
        env=environ,
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
