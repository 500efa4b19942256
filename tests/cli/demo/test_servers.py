"""The demo's servers, installed from packages made here: no test needs a registry."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from gateway.cli.demo.listing import DemoServer, examples_directory, read_listing
from gateway.cli.demo.servers import install_demo
from gateway.errors import InstallError

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


def wheel(directory: Path, name: str) -> str:
    """A wheel with one program `name` that prints its name and arguments."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"import sys\ndef main():\n    print('{name}', *sys.argv[1:])\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return str(path)


def npm_package(directory: Path, name: str) -> str:
    """An npm package with one program `name` that prints its name."""
    files = {
        "package/package.json": json.dumps({"name": name, "version": "1.0.0", "bin": {name: "run.js"}}),
        "package/run.js": f"#!/usr/bin/env node\nconsole.log('{name}')\n",
    }
    path = directory / f"{name}-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return str(path)


def listing(directory: Path, *servers: dict[str, object]) -> Path:
    """A file like demo_servers.toml; each server's description and command come from its name."""
    lines: list[str] = []
    for server in servers:
        lines += ["[[server]]", f'description = "It is {server["name"]}."', f'command = "{server["name"]}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in server.items()]
    path = directory / "servers.toml"
    path.write_text("\n".join(lines) if lines else "server = []", encoding="utf-8")
    return path


def output_of(server: DemoServer) -> str:
    return subprocess.run([server.command, *server.args], capture_output=True, text=True, check=True).stdout.strip()


async def test_a_python_server_is_installed_into_an_environment_of_its_own(tmp_path: Path) -> None:
    servers = listing(
        tmp_path,
        {"name": "one", "python": [wheel(tmp_path, "one")], "args": ["--at", "{demo}/workspace"]},
        {"name": "two", "python": [wheel(tmp_path, "two")]},
    )
    local, one, two = await install_demo(tmp_path / "demo", lambda line: None, servers)
    assert (local.name, one.name, two.name) == ("Local MCP", "one", "two")
    assert one.description == "It is one."
    assert output_of(one) == f"one --at {tmp_path}/demo/workspace"
    assert output_of(two) == "two"
    assert Path(one.command).parent != Path(two.command).parent


async def test_a_second_run_finds_all_installed_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = listing(tmp_path, {"name": "one", "python": [wheel(tmp_path, "one")]})
    said: list[str] = []
    first = await install_demo(tmp_path / "demo", said.append, servers)
    assert any(line.startswith("one: installed in") for line in said)
    said.clear()
    # No installer gets to run in no time.
    assert await install_demo(tmp_path / "demo", said.append, servers, install_seconds=0) == first
    assert said == []


async def test_other_requirements_or_a_lost_program_are_installed_again(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    servers = listing(tmp_path, {"name": "one", "python": [wheel(tmp_path, "one")]})
    _, one = await install_demo(demo, lambda line: None, servers)
    os.unlink(one.command)
    await install_demo(demo, lambda line: None, servers)
    assert output_of(one) == "one"
    more = listing(tmp_path, {"name": "one", "python": [wheel(tmp_path, "one"), wheel(tmp_path, "two")]})
    await install_demo(demo, lambda line: None, more)
    assert (Path(one.command).parent / "two").exists()


async def test_a_server_that_cannot_be_installed_is_named_with_the_reason_and_left_out(tmp_path: Path) -> None:
    servers = listing(
        tmp_path,
        {"name": "gone", "python": [str(tmp_path / "gone-1.0-py3-none-any.whl")]},
        {"name": "other", "python": [wheel(tmp_path, "empty")]},
        {"name": "one", "python": [wheel(tmp_path, "one")]},
    )
    said: list[str] = []
    found = await install_demo(tmp_path / "demo", said.append, servers)
    assert [server.name for server in found] == ["Local MCP", "one"]
    assert any(line.startswith("gone is left out: ") and "gone-1.0-py3-none-any.whl" in line for line in said)
    assert "other is left out: Its package does not bring the program other." in said


@needs_npm
async def test_npm_servers_are_installed_together_and_one_bad_package_does_not_take_the_others_along(
    tmp_path: Path,
) -> None:
    servers = listing(
        tmp_path,
        {"name": "three", "npm": npm_package(tmp_path, "three")},
        {"name": "gone", "npm": str(tmp_path / "gone-1.0.0.tgz")},
        {"name": "four", "npm": npm_package(tmp_path, "four")},
    )
    said: list[str] = []
    _, three, four = await install_demo(tmp_path / "demo", said.append, servers)
    assert (output_of(three), output_of(four)) == ("three", "four")
    assert any(line.startswith("gone is left out: ") for line in said)


async def test_without_npm_and_git_the_demo_says_what_it_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    servers = listing(
        tmp_path,
        {"name": "three", "npm": "three"},
        {"name": "four", "npm": "four"},
        {"name": "five", "python": [wheel(tmp_path, "five")], "needs": "git"},
        {"name": "one", "python": [wheel(tmp_path, "one")]},
    )
    said: list[str] = []
    found = await install_demo(tmp_path / "demo", said.append, servers)
    assert [server.name for server in found] == ["Local MCP", "one"]
    assert said[0] == "This machine has no npm: the demo goes without three, four."
    assert said[1] == "This machine has no git: the demo goes without five."


async def test_local_mcp_runs_with_this_interpreter_and_finds_the_sample_files(tmp_path: Path) -> None:
    (local,) = await install_demo(tmp_path / "demo", lambda line: None, listing(tmp_path))
    assert local.command == sys.executable
    server = StdioServerParameters(command=local.command, args=list(local.args), env=dict(local.env))
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool("search_files", {"pattern": "notes/*.md"})
    assert result.structured_content is not None
    assert [file["path"] for file in result.structured_content["files"]] == ["notes/groceries.md", "notes/meeting.md"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_the_workspace_is_a_git_repository_with_the_sample_files_committed(tmp_path: Path) -> None:
    await install_demo(tmp_path / "demo", lambda line: None, listing(tmp_path))
    workspace = tmp_path / "demo" / "workspace"
    git = await anyio.run_process(["git", "-C", str(workspace), "ls-files"])
    assert git.stdout.decode().split() == [
        "README.md",
        "data/temperatures.csv",
        "notes/groceries.md",
        "notes/meeting.md",
    ]


async def test_a_directory_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InstallError, match=f"{tmp_path}/file/demo cannot be written"):
        await install_demo(tmp_path / "file" / "demo", lambda line: None, listing(tmp_path))


async def test_an_install_that_hangs_is_ended_with_all_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "programs"
    fake.mkdir()
    (fake / "node").symlink_to(sys.executable)
    (fake / "npm").write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n", encoding="utf-8")
    (fake / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    said: list[str] = []
    servers = listing(tmp_path, {"name": "three", "npm": "three"})
    await install_demo(tmp_path / "demo", said.append, servers, install_seconds=3.0)
    assert said[-1] == "three is left out: npm did not end within 3 s."
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(child)) as ended, anyio.fail_after(5):
        await anyio.wait_readable(ended)


def test_the_demos_own_list_pins_every_server_to_a_version() -> None:
    for server in read_listing(examples_directory() / "demo_servers.toml"):
        assert bool(server.python) != bool(server.npm), server.name
        assert server.description.endswith("."), server.name
        assert "==" in server.python[0] if server.python else "@" in server.npm[1:], server.name
