"""Installing the demo's servers, each once, below one directory."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from gateway.cli.demo.installer_process import run_installer
from gateway.cli.demo.listing import DemoServer, DemoServerEntry
from gateway.errors import InstallError

_INSTALLS_AT_ONCE = 2


class DemoInstaller:
    """The demo's directory: `workspace`, `python` with one environment a server, `node` for the npm packages."""

    def __init__(self, directory: Path, report: Callable[[str], None], install_seconds: float) -> None:
        self.directory = directory.expanduser().resolve()
        self.workspace = self.directory / "workspace"
        self._report = report
        self._install_seconds = install_seconds
        self._limiter = anyio.CapacityLimiter(_INSTALLS_AT_ONCE)

    def server(self, entry: DemoServerEntry) -> DemoServer:
        def expanded(text: str) -> str:
            return text.replace("{demo}", str(self.directory))

        return DemoServer(
            name=entry.name,
            command=str(self._programs(entry) / entry.command),
            args=tuple(expanded(arg) for arg in entry.args),
            env={name: expanded(value) for name, value in entry.env.items()},
            description=entry.description,
        )

    async def install(self, entries: Sequence[DemoServerEntry]) -> set[str]:
        """Install what is not there yet; the names of the servers that are there afterwards."""
        installable = self._installable(entries)
        installed = {entry.name for entry in installable if self._is_installed(entry)}
        missing = [entry for entry in installable if entry.name not in installed]
        if not missing:
            return installed
        self._report(f"Installing {len(missing)} servers below {self.directory}; this happens once.")
        # npm installs all its packages in one go, which is faster than one by one and shares what they share.
        batches = [[entry] for entry in missing if not entry.npm]
        if from_npm := [entry for entry in missing if entry.npm]:
            batches.insert(0, from_npm)
        async with anyio.create_task_group() as tasks:
            for batch in batches:
                tasks.start_soon(self._install_batch, batch, installed)
        return installed

    def _installable(self, entries: Sequence[DemoServerEntry]) -> list[DemoServerEntry]:
        """Those whose programs this machine has; `report` gets the others."""
        installable: list[DemoServerEntry] = []
        left_out: dict[str, list[str]] = {}
        for entry in entries:
            programs = [*(["npm", "node"] if entry.npm else []), *([entry.needs] if entry.needs else [])]
            absent = next((program for program in programs if shutil.which(program) is None), None)
            if absent is None:
                installable.append(entry)
            else:
                left_out.setdefault(absent, []).append(entry.name)
        for program, names in left_out.items():
            self._report(f"This machine has no {program}: the demo goes without {', '.join(names)}.")
        return installable

    async def _install_batch(self, batch: Sequence[DemoServerEntry], installed: set[str]) -> None:
        try:
            async with self._limiter:
                started = time.monotonic()
                await (self._install_npm(batch) if batch[0].npm else self._install_python(batch[0]))
                self._write_stamps(batch)
        except InstallError as error:
            if len(batch) == 1:
                self._report(f"{batch[0].name} is left out: {error}")
                return
            # One bad package fails the whole batch; alone, each other one can still be installed.
            for entry in batch:
                await self._install_batch([entry], installed)
            return
        installed.update(entry.name for entry in batch)
        names = ", ".join(entry.name for entry in batch)
        self._report(f"{names}: installed in {time.monotonic() - started:.0f} s.")

    async def _install_npm(self, batch: Sequence[DemoServerEntry]) -> None:
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--json", "--loglevel=silent")
        self._node.mkdir(parents=True, exist_ok=True)
        await self._run(["npm", "install", "--prefix", str(self._node), *quiet, *(entry.npm for entry in batch)])

    async def _install_python(self, entry: DemoServerEntry) -> None:
        environment = self._environment(entry)
        python = str(environment / "bin" / "python")
        # Sharing this interpreter's pip saves the seconds that it takes to install one more.
        shared = importlib.util.find_spec("pip") is not None
        create = [sys.executable, "-m", "venv", "--clear", *(["--without-pip"] if shared else []), str(environment)]
        await self._run(create)
        pip = [sys.executable, "-m", "pip", "--python", python] if shared else [python, "-m", "pip"]
        await self._run([*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check", *entry.python])

    def _is_installed(self, entry: DemoServerEntry) -> bool:
        stamp = self._stamp(entry)
        interpreter = self._node if entry.npm else self._environment(entry) / "bin" / "python"
        return (
            stamp.is_file()
            and stamp.read_text(encoding="utf-8") == self._stamp_text(entry)
            and Path(self.server(entry).command).exists()
            and interpreter.exists()
        )

    def _write_stamps(self, batch: Sequence[DemoServerEntry]) -> None:
        for entry in batch:
            if not Path(self.server(entry).command).exists():
                raise InstallError(f"Its package does not bring the program {entry.command}.")
        for entry in batch:
            self._stamp(entry).write_text(self._stamp_text(entry), encoding="utf-8")

    def _stamp(self, entry: DemoServerEntry) -> Path:
        return self._programs(entry) / f"{entry.command}.installed"

    def _stamp_text(self, entry: DemoServerEntry) -> str:
        # The programs name their interpreter by its full path, so a moved directory has to be installed anew.
        return "\n".join([str(self._programs(entry)), entry.npm, *entry.python])

    def _programs(self, entry: DemoServerEntry) -> Path:
        return self._node / "node_modules" / ".bin" if entry.npm else self._environment(entry) / "bin"

    def _environment(self, entry: DemoServerEntry) -> Path:
        return self.directory / "python" / entry.command

    async def _run(self, command: Sequence[str]) -> None:
        await run_installer(command, seconds=self._install_seconds)

    @property
    def _node(self) -> Path:
        return self.directory / "node"
