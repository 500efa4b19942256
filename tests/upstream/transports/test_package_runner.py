"""Servers that are installed when they are started, as `npx -y` and `uvx` do."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from gateway.errors import UpstreamTimeoutError
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.transports.package_runner import find_package_runner
from tests.upstream.conftest import Connect, raw
from tests.upstream.package_runner import runner
from tests.upstream.processes import alive, until


async def test_an_installation_may_take_longer_than_the_handshake(pool: UpstreamPool, tmp_path: Path) -> None:
    spec = runner(tmp_path, connect_timeout=1.0, start_timeout=30)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.list_all, spec, "tools/list", "tools")
        await until(lambda: pool.status(1).startup_line == "added 1 of 2 packages")
        await anyio.sleep(1.2)
        assert pool.status(1).state == "starting"
        (tmp_path / "go").touch()
    assert pool.status(1).state == "connected"
    assert pool.status(1).startup_line == ""


async def test_a_call_to_a_starting_server_says_so(pool: UpstreamPool, tmp_path: Path) -> None:
    spec = runner(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.list_all, spec, "tools/list", "tools")
        await until(lambda: pool.status(1).startup_line != "")
        with pytest.raises(UpstreamTimeoutError, match=r"is still starting \(added 1 of 2 packages\)"):
            await pool.request(spec, UpstreamRequest("tools/call", {"name": "echo"}, timeout=0.3))
        assert pool.status(1).last_error is None
        (tmp_path / "go").touch()


async def test_a_check_of_a_starting_server_is_no_failure(pool: UpstreamPool, tmp_path: Path) -> None:
    spec = runner(tmp_path, connect_timeout=1.0)
    await pool.check(spec)
    await until(lambda: pool.status(1).state == "starting")
    status = await pool.check(spec)
    assert (status.state, status.last_error) == ("starting", None)
    (tmp_path / "go").touch()
    await pool.list_all(spec, "tools/list", "tools")


async def test_what_does_not_come_up_is_told_with_the_setting(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(UpstreamTimeoutError) as raised:
        async with connect(runner(tmp_path, start_timeout=3.0)):
            pass
    assert "within 3 s of its start, and said last: added 1 of 2 packages" in raised.value.message
    assert "upstream.start_timeout_seconds" in raised.value.message


async def test_an_installation_is_told_to_end_and_not_killed(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UpstreamTimeoutError):
        async with connect(runner(tmp_path, start_timeout=3.0)):
            pass
    assert (tmp_path / "told").exists()
    assert (tmp_path / "cache").read_text() == "whole"
    assert "npx may still be installing server Raw Server" in caplog.text


async def test_a_server_that_was_installed_is_ended_as_any_other(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    async with connect(runner(tmp_path)) as session:
        await session.request(UpstreamRequest("tools/call", {"name": "echo"}))
    assert not (tmp_path / "told").exists()


async def test_a_server_that_answers_and_then_stalls_has_the_time_of_a_handshake(connect: Connect) -> None:
    with pytest.raises(UpstreamTimeoutError, match=r"did not start a session within 0\.6 s"):
        async with connect(raw("stalls", connect_timeout=0.6, start_timeout=60)):
            pass


_GATEWAY = """
import anyio, sys
from gateway.settings import UpstreamSettings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

async def main():
    async with UpstreamPool(UpstreamSettings()) as pool:
        spec = ServerSpec(1, 1, "Cold", "cold", "stdio", command=sys.argv[1], args=("-y", "handshake"))
        await pool.list_all(spec, "tools/list", "tools")

anyio.run(main)
"""


async def test_an_installation_outlives_a_gateway_that_is_killed(tmp_path: Path) -> None:
    spec = runner(tmp_path)
    gateway = await anyio.open_process([sys.executable, "-c", _GATEWAY, str(spec.command)])
    try:
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "", 15)
        installer = int((tmp_path / "pid").read_text())
    finally:
        gateway.kill()
        await gateway.aclose()
    await until(lambda: not alive(installer), 15)
    assert (tmp_path / "cache").read_text() == "whole"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("npx -y @scope/server", "npx"),
        ("/usr/local/bin/npx.cmd server", "npx"),
        ("uvx server", "uvx"),
        ("uv tool run server", "uv"),
        ("uv --directory /srv run server", "uv"),
        ("npm exec server", "npm"),
        ("pnpm dlx server", "pnpm"),
        ("pipx run server", "pipx"),
        ("bunx server", "bunx"),
        ("docker run -i --rm image", "docker"),
        ("env A=1 npx -y server", "npx"),
        ("node server.js", None),
        ("python -m server", None),
        ("npm start", None),
        ("/opt/uvx-tools/server", None),
    ],
)
def test_package_runners_are_known_by_their_command_line(command: str, found: str | None) -> None:
    first, *rest = command.split()
    assert find_package_runner(first, rest) == found


def test_a_package_runner_is_found_behind_a_shell() -> None:
    assert find_package_runner("sh", ["-c", "cd /srv && npx -y server"]) == "npx"
    assert find_package_runner("cmd", ["/c", "C:\\node\\npx.cmd", "-y", "server"]) == "npx"
