"""A PostgreSQL that the system has installed, on files of its own; shared by the processes of a test run."""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.upstream.processes import alive

_ACCOUNT = "postgres"


class InstalledPostgresql:
    """Its files are below `folder`/postgresql; the last process that lets go of it stops it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        """`programs` holds initdb and pg_ctl."""
        self._programs = programs
        self._folder = folder
        self._data = folder / "postgresql"

    def start(self) -> str:
        """Start it, or join the one that runs; returns the URL of its database `postgres`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # It does not run as root.
            os.chown(self._folder, pwd.getpwnam(_ACCOUNT).pw_uid, -1)
        with self._holders() as holders:
            if not holders:
                if not self._data.exists():
                    self._run("initdb", "--pgdata", str(self._data), "--username", "postgres", "--auth", "trust")
                options = f"-c listen_addresses= -c unix_socket_directories={self._folder}"
                log = str(self._folder / "log")
                self._run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", log, "--options", options)
            holders.append(os.getpid())
        return f"postgresql://postgres@/postgres?host={self._folder}"

    def stop(self) -> None:
        """Let go of it."""
        with self._holders() as holders:
            holders.remove(os.getpid())
            if not holders:
                self._run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", str(self._data))

    @contextmanager
    def _holders(self) -> Iterator[list[int]]:
        """The processes that use it, for nobody else to change meanwhile."""
        with (self._folder / "holders").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            holders = [pid for pid in map(int, file.read().split()) if alive(pid)]
            yield holders
            file.seek(0)
            file.truncate()
            file.write(" ".join(map(str, holders)))

    def _run(self, program: str, *arguments: str) -> None:
        account = _ACCOUNT if os.geteuid() == 0 else None
        command = [str(self._programs / program), *arguments]
        # What pg_ctl starts would keep a pipe open.
        subprocess.run(command, user=account, cwd="/", check=True, stdout=subprocess.DEVNULL)
