"""The distribution as its users get it: a wheel that pip installs where nothing else is, started in an empty folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

ROOT = Path(__file__).parents[2]
NOT_INSTALLED = (
    'Error: The embedded PostgreSQL is not installed; run pip install "modelgate-mcp[embedded]", '
    "or set database.url to a PostgreSQL of your own. [database]\n"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment with the distribution in it, and an empty folder to work in."""

    programs: Path
    folder: Path

    def environ(self, **settings: str) -> dict[str, str]:
        found = os.pathsep.join([str(self.programs), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        data = str(self.folder.parent / "data")
        return {"PATH": found, "HOME": str(self.folder), "MODELGATE_DATA_DIR": data, "COLUMNS": "200", **settings}

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        return subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environ(**settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextlib.asynccontextmanager
    async def serving(
        self, log: Path, command: str = "serve", ready: str = r"ready at (http://127\.0\.0\.1:\d+)", **settings: str
    ) -> AsyncIterator[str]:
        """Run a gateway until the block ends; gives its address, which it writes as `ready`, to the file `log`."""
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(str(self.programs / "modelgate"), command),
                cwd=self.folder,
                env=self.environ(MODELGATE_SERVER_PORT="0", PYTHONUNBUFFERED="1", **settings),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            with anyio.fail_after(120):
                while not (found := re.search(ready, log.read_text())):
                    assert process.returncode is None, log.read_text()
                    await anyio.sleep(0.05)
            yield found[1]
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
        assert process.returncode == 0, log.read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as it is published: from the source distribution."""
    folder = tmp_path_factory.mktemp("distribution")
    build = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*build, "--target", "sdist", "--directory", str(folder)], cwd=ROOT, check=True)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    subprocess.run([*build, "--target", "wheel", "--directory", str(folder)], cwd=unpacked, check=True)
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, folder: Path, extra: str = "") -> Installation:
    """Install the wheel into an environment of its own, with the versions that are locked."""
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install"]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    locked = ["--constraint", str(ROOT / "requirements.lock")]
    subprocess.run([*pip, *quiet, *locked, f"{wheel}{extra}"], check=True)
    empty = folder / "empty"
    empty.mkdir()
    return Installation(environment / "bin", empty)


def test_the_wheel_carries_the_model_and_what_the_search_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        model = {name for name in names if name.startswith("gateway/embedding/model/")}
        assert archive.getinfo("gateway/embedding/model/model.onnx").file_size > 20 * 2**20
    assert {name.rpartition("/")[2] for name in model} == {"MODEL.md", "model.onnx", "modelgate.toml", "tokenizer.json"}
    assert "gateway/search/everyday_requests.txt" in names


async def test_without_extras_it_serves_on_a_database_of_the_users_own_and_says_what_to_install_without_one(
    wheel: Path, tmp_path: Path, database_url: str
) -> None:
    installed = install(wheel, tmp_path)
    name, version = wheel.name.split("-")[:2]
    assert name == "modelgate_mcp"
    assert installed.run("modelgate", "--version").stdout == f"modelgate, version {version}\n"

    refused = installed.run("modelgate", "serve")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", NOT_INSTALLED)

    log = tmp_path / "log"
    nowhere = {"MODELGATE_EMBEDDER_URL": "http://127.0.0.1:1"}
    async with installed.serving(log, MODELGATE_DATABASE_URL=database_url, **nowhere) as url:
        assert httpx2.get(f"{url}/health").status_code == 200
    assert "Embedder: builtin." in log.read_text()


async def test_with_its_extra_it_needs_nothing_else(wheel: Path, tmp_path: Path) -> None:
    installed = install(wheel, tmp_path, "[embedded]")
    log = tmp_path / "log"
    builtin = {"MODELGATE_EMBEDDER_TYPE": "builtin"}
    async with installed.serving(log, **builtin) as url:
        assert httpx2.get(f"{url}/health").status_code == 200
        assert httpx2.get(f"{url}/ready").status_code == 200
        invited = re.search(r"http://\S+/setup\?token=\S+", log.read_text())
        assert invited
        page = httpx2.get(invited[0])
        assert "<form" in page.text
        assets = re.findall(r'(?:href|src)="(/admin/static/[^"]+)"', page.text)
        assert len(assets) >= 3
        assert {httpx2.get(f"{url}{path}").status_code for path in assets} == {200}

        located = "from gateway.cli.demo.listing import examples_directory; print(examples_directory())"
        examples = Path(installed.run("python", "-c", located).stdout.strip())
        assert examples.is_relative_to(installed.programs.parent)
        server = [str(installed.programs / "python"), str(examples / "local_mcp.py")]
        assert installed.run("modelgate", "servers", "add", "Local MCP", "--", *server).returncode == 0
        synced = installed.run("modelgate", "sync", **builtin)
        assert synced.stdout.endswith("1 of 1 servers are synced.\n"), synced.stderr
        found = installed.run("modelgate", "search", "calculate math expressions", **builtin)
        assert "local_mcp__calculator" in found.stdout
    assert list(installed.folder.iterdir()) == []

    # Where no registry can be reached, the demo has the example server alone.
    alone = {"PIP_NO_INDEX": "1", "npm_config_registry": "http://127.0.0.1:1", "npm_config_fetch_retries": "0"}
    endpoint = r"MCP endpoint:  (http://127\.0\.0\.1:\d+/mcp)"
    async with installed.serving(tmp_path / "demo", "demo", endpoint, **builtin, **alone) as url:
        key = re.search(r"API key:       (mg_[0-9a-f]{64})", (tmp_path / "demo").read_text())
        assert key
        call = {"name": "tool_search", "arguments": {"query": "calculate math expressions"}}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = httpx2.post(url, json=request, headers={"Authorization": f"Bearer {key[1]}"}).json()
        assert "result" in answer, answer
        assert "local_mcp__calculator" in answer["result"]["content"][0]["text"]
