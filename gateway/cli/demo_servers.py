"""The demo's upstream servers: Local MCP, and published ones installed from the Python and npm registries."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from gateway.errors import InstallError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_INSTALL_SECONDS = 300.0
_INSTALLS_AT_ONCE = 2

_SAMPLES = {
    "README.md": "# Demo workspace\n\nThe demo's file, Git and search tools work in this directory.\n",
    "notes/groceries.md": "- apples\n- bread\n- coffee\n",
    "notes/meeting.md": "# Planning\n\n- Ship the release on Thursday.\n- Ask Ada about the database migration.\n",
    "data/temperatures.csv": "city,month,celsius\nTokyo,7,26\nCairo,7,28\nToronto,7,22\n",
}


@dataclass(frozen=True, slots=True)
class DemoServer:
    """How to start one upstream server over stdio; `command` is an absolute path."""

    name: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    description: str


@dataclass(frozen=True, slots=True)
class _Listed:
    """One entry of demo_servers.toml; it has either `python` requirements or one `npm` package."""

    name: str
    description: str
    command: str
    python: Sequence[str] = ()
    npm: str = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def examples_directory() -> Path:
    """Where the examples are: inside an installed package, or beside it in a checkout. Raises InstallError."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "examples", package.parent / "examples"):
        if (directory / "local_mcp.py").is_file():
            return directory
    raise InstallError(
        "The examples are not part of this installation; install modelgate-mcp from its wheel or a checkout."
    )


async def install_demo(directory: Path, say: Callable[[str], None], listing: Path | None = None) -> list[DemoServer]:
    """Install the demo's servers below `directory` and return those that can be started, Local MCP first.

    `say` is told what happens, in single lines. `listing` is the list of servers, unless given the demo_servers.toml of
    the examples. A server that cannot be installed is named to `say` with the reason and left out; what an earlier run
    installed is used as it is. Raises InstallError when `directory` cannot be written or the examples are missing.
    """
    examples = examples_directory()
    demo = _Demo(directory, say)
    listed = _read_listing(listing or examples / "demo_servers.toml")
    try:
        await demo.prepare_workspace()
        installed = await demo.install(listed)
    except OSError as error:
        raise InstallError(
            f"The demo directory {demo.directory} cannot be written ({error.strerror}); "
            "change its permissions or set server.data_dir to another one."
        ) from None
    local = DemoServer(
        name="Local MCP",
        command=sys.executable,
        args=(str(examples / "local_mcp.py"), "--root", str(demo.workspace)),
        env={},
        description="Calculator, typical weather, system information and file search on this machine.",
    )
    return [local, *(demo.server(entry) for entry in listed if entry.name in installed)]


def _read_listing(path: Path) -> list[_Listed]:
    return [_Listed(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["server"]]


class _Demo:
    """The demo's directory: `workspace`, `python` with one environment a server, `node` for the npm packages."""

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self.directory = directory.expanduser().resolve()
        self.workspace = self.directory / "workspace"
        self._say = say
        self._limiter = anyio.CapacityLimiter(_INSTALLS_AT_ONCE)

    def server(self, entry: _Listed) -> DemoServer:
        def expanded(text: str) -> str:
            return text.replace("{demo}", str(self.directory))

        return DemoServer(
            name=entry.name,
            command=str(self._programs(entry) / entry.command),
            args=tuple(expanded(arg) for arg in entry.args),
            env={name: expanded(value) for name, value in entry.env.items()},
            description=entry.description,
        )

    async def prepare_workspace(self) -> None:
        """Write the sample files and put them into a Git repository, once."""
        if self.workspace.is_dir():
            return
        for name, text in _SAMPLES.items():
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if shutil.which("git") is None:
            return
        # The user's own Git settings may ask for signatures or run hooks.
        ours = ("user.name=ModelGate", "user.email=demo@localhost", "commit.gpgsign=false", "core.hooksPath=/dev/null")
        git = ["git", "-C", str(self.workspace), *(word for setting in ours for word in ("-c", setting))]
        for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Sample files"]):
            await _run([*git, *step])

    async def install(self, listed: Sequence[_Listed]) -> set[str]:
        """Install what is not there yet; the names of the servers that are there afterwards."""
        possible = self._possible(listed)
        installed = {entry.name for entry in possible if self._is_installed(entry)}
        missing = [entry for entry in possible if entry.name not in installed]
        if not missing:
            return installed
        self._say(f"Installing {len(missing)} servers below {self.directory}; this happens once.")
        # npm installs all its packages in one go, which is faster than one by one and shares what they share.
        batches = [[entry] for entry in missing if not entry.npm]
        if from_npm := [entry for entry in missing if entry.npm]:
            batches.insert(0, from_npm)
        async with anyio.create_task_group() as tasks:
            for batch in batches:
                tasks.start_soon(self._install_batch, batch, installed)
        return installed

    def _possible(self, listed: Sequence[_Listed]) -> list[_Listed]:
        """Those whose programs this machine has; `say` is told of the others."""
        possible: list[_Listed] = []
        without: dict[str, list[str]] = {}
        for entry in listed:
            programs = [*(["npm", "node"] if entry.npm else []), *([entry.needs] if entry.needs else [])]
            absent = next((program for program in programs if shutil.which(program) is None), None)
            if absent is None:
                possible.append(entry)
            else:
                without.setdefault(absent, []).append(entry.name)
        for program, names in without.items():
            self._say(f"This machine has no {program}: the demo goes without {', '.join(names)}.")
        return possible

    async def _install_batch(self, batch: Sequence[_Listed], installed: set[str]) -> None:
        try:
            async with self._limiter:
                started = time.monotonic()
                await (self._install_npm(batch) if batch[0].npm else self._install_python(batch[0]))
                self._write_stamps(batch)
        except InstallError as error:
            if len(batch) == 1:
                self._say(f"{batch[0].name} is left out: {error}")
                return
            # One bad package fails the whole batch; alone, each other one can still be installed.
            for entry in batch:
                await self._install_batch([entry], installed)
            return
        installed.update(entry.name for entry in batch)
        names = ", ".join(entry.name for entry in batch)
        self._say(f"{names}: installed in {time.monotonic() - started:.0f} s.")

    async def _install_npm(self, batch: Sequence[_Listed]) -> None:
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--json", "--loglevel=silent")
        self._node.mkdir(parents=True, exist_ok=True)
        await _run(["npm", "install", "--prefix", str(self._node), *quiet, *(entry.npm for entry in batch)])

    async def _install_python(self, entry: _Listed) -> None:
        environment = self._environment(entry)
        python = str(environment / "bin" / "python")
        # Sharing this interpreter's pip saves the seconds that it takes to install one more.
        shared = importlib.util.find_spec("pip") is not None
        create = [sys.executable, "-m", "venv", "--clear", *(["--without-pip"] if shared else []), str(environment)]
        await _run(create)
        pip = [sys.executable, "-m", "pip", "--python", python] if shared else [python, "-m", "pip"]
        await _run([*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check", *entry.python])

    def _is_installed(self, entry: _Listed) -> bool:
        stamp = self._stamp(entry)
        interpreter = self._node if entry.npm else self._environment(entry) / "bin" / "python"
        return (
            stamp.is_file()
            and stamp.read_text(encoding="utf-8") == self._stamped(entry)
            and Path(self.server(entry).command).exists()
            and interpreter.exists()
        )

    def _write_stamps(self, batch: Sequence[_Listed]) -> None:
        for entry in batch:
            if not Path(self.server(entry).command).exists():
                raise InstallError(f"Its package does not bring the program {entry.command}.")
        for entry in batch:
            self._stamp(entry).write_text(self._stamped(entry), encoding="utf-8")

    def _stamp(self, entry: _Listed) -> Path:
        return self._programs(entry) / f"{entry.command}.installed"

    def _stamped(self, entry: _Listed) -> str:
        # The programs name their interpreter by its full path, so a moved directory has to be installed anew.
        return "\n".join([str(self._programs(entry)), entry.npm, *entry.python])

    def _programs(self, entry: _Listed) -> Path:
        return self._node / "node_modules" / ".bin" if entry.npm else self._environment(entry) / "bin"

    def _environment(self, entry: _Listed) -> Path:
        return self.directory / "python" / entry.command

    @property
    def _node(self) -> Path:
        return self.directory / "node"


async def _run(command: Sequence[str]) -> None:
    """Run an installer to its end, or raise InstallError with what it said. It and its children never outlive this."""
    with tempfile.TemporaryFile() as said:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            with anyio.fail_after(_INSTALL_SECONDS):
                code = await process.wait()
        except TimeoutError:
            raise InstallError(f"{Path(command[0]).name} did not end within {_INSTALL_SECONDS:.0f} s.") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                with anyio.CancelScope(shield=True):
                    await process.wait()
        if code != 0:
            said.seek(0)
            raise InstallError(_reason(said.read().decode(errors="replace")) or f"{command[0]} ended with code {code}.")


def _reason(said: str) -> str:
    """The sentence in an installer's output that tells why it failed."""
    try:
        return str(json.loads(said)["error"]["summary"])
    except (ValueError, KeyError, TypeError):
        if "require a different python version" in said:
            return f"Its package does not support Python {sys.version_info.major}.{sys.version_info.minor}."
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return lines[-1].removeprefix("ERROR: ") if lines else ""
