"""OpenSearch out of Maven's jars, below `.opensearch` of the checkout; a folder for each version.

python -m tests.opensearch.install [VERSION]
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTED_VERSION = "2.19.1"
VERSION = os.environ.get("TEST_OPENSEARCH_VERSION", TESTED_VERSION)
REQUIRED = "TEST_OPENSEARCH_REQUIRED"
"""Set in the environment, tests fail where they would be skipped for want of a node."""

_ROOT = Path(__file__).parents[2] / ".opensearch"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class _Release:
    """What a major version takes: which Java, the version of log4j that it is made with, and how a node is made: what
    is in this folder, which is also the profile in `pom.xml`."""

    java: int
    log4j: str
    folder: str

    @property
    def sources(self) -> list[Path]:
        return [_HERE / "OpenSearchNode.java", *sorted((_HERE / self.folder).rglob("*.java"))]


_RELEASES = {
    2: _Release(17, "2.21.0", "of_2"),
    3: _Release(21, "2.25.3", "of_3"),
}


class NotInstalledError(Exception):
    """There is no node to be had here; says why."""


def folder(version: str = VERSION) -> Path:
    """Where a version is; `classes` and `lib` in it are the class path of a node."""
    return _ROOT / version


def java(program: str = "java") -> str:
    """The program of the Java that JAVA_HOME names, else of the first one in PATH. Raises NotInstalledError."""
    home = os.environ.get("JAVA_HOME", "")
    found = shutil.which(program, path=f"{home}/bin") if home else shutil.which(program)
    if found is None:
        raise NotInstalledError(f"This machine has no {program}; a node of OpenSearch takes it.")
    return found


def install(version: str = VERSION) -> Path:
    """Install a version where it is not there, and return its folder. Raises NotInstalledError."""
    if shutil.which("mvn") is None:
        raise NotInstalledError("This machine has no mvn; a node of OpenSearch takes it.")
    release = _release(version)
    _check_java(version, release)
    target = folder(version)
    with _alone(version):
        stamp = target / "installed"
        fingerprint = _fingerprint(release)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint:
            return target
        for part in ("lib", "classes"):
            shutil.rmtree(target / part, ignore_errors=True)
        lib, classes = target / "lib", target / "classes"
        classes.mkdir(parents=True)
        _run(
            *("mvn", "--quiet", "--batch-mode", "--file", str(_HERE / "pom.xml"), f"-Dopensearch.version={version}"),
            *(f"-Dlog4j.version={release.log4j}", "--activate-profiles", release.folder),
            *("dependency:copy-dependencies", f"-DoutputDirectory={lib}"),
        )
        for plugin in lib.glob("*.zip"):
            with zipfile.ZipFile(plugin) as archive:
                archive.extractall(lib, [name for name in archive.namelist() if name.endswith(".jar")])
            plugin.unlink()
        sources = map(str, release.sources)
        _run(java("javac"), "--release", str(release.java), "-cp", f"{lib}/*", "-d", str(classes), *sources)
        stamp.write_text(fingerprint, encoding="utf-8")
    return target


def _release(version: str) -> _Release:
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) not in _RELEASES:
        raise NotInstalledError(f"There is no OpenSearch {version} that is known here; take one of 2.x or 3.x.")
    return _RELEASES[int(major)]


def _check_java(version: str, release: _Release) -> None:
    done = subprocess.run([java("javac"), "-version"], capture_output=True, text=True)
    found = re.search(r"javac (\d+)", done.stdout + done.stderr)
    if found is None or int(found[1]) < release.java:
        here = found[1] if found else "an older one"
        raise NotInstalledError(
            f"OpenSearch {version} takes Java {release.java} or newer, and here is {here}; name one in JAVA_HOME."
        )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise NotInstalledError(f"{command[0]} failed: {' '.join(said[:3])[:500]}")


def _fingerprint(release: _Release) -> str:
    read = b"".join(path.read_bytes() for path in (_HERE / "pom.xml", *release.sources))
    return hashlib.sha256(read + f"{_ROOT} {release.log4j}".encode()).hexdigest()


@contextmanager
def _alone(version: str) -> Iterator[None]:
    """One installation at a time."""
    target = folder(version)
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        print(install(*sys.argv[1:2]))
    except NotInstalledError as error:
        sys.exit(f"OpenSearch could not be installed: {error}")
