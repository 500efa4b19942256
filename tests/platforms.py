"""Whether every dependency can be installed where no test runs: asked of the package index, not tried.

python -m tests.platforms
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

# The oldest macOS that the packages of the embedded PostgreSQL and of onnxruntime are made for.
PLATFORMS = ("macosx_14_0_arm64", "macosx_14_0_x86_64")
VERSIONS = ("3.11", "3.13")


def dependencies() -> list[str]:
    """What the gateway needs on macOS, with the extra for the embedded PostgreSQL."""
    environ = {**default_environment(), "sys_platform": "darwin", "platform_system": "Darwin", "extra": "embedded"}
    wanted = [Requirement(text) for text in requires("modelgate-mcp") or ()]
    return [
        f"{each.name}[{','.join(each.extras)}]{each.specifier}" if each.extras else f"{each.name}{each.specifier}"
        for each in wanted
        if each.marker is None or each.marker.evaluate({key: str(value) for key, value in environ.items()})
    ]


def main() -> int:
    """Print how each platform did; 1 where one lacks something."""
    failed = False
    for platform in PLATFORMS:
        for version in VERSIONS:
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
                    *("--only-binary=:all:", "--platform", platform, "--python-version", version),
                    *("--dest", str(Path(folder)), *dependencies()),
                ]
                run = subprocess.run(command, capture_output=True, text=True)
            lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            print(f"{platform}, Python {version}: {'complete' if run.returncode == 0 else ' '.join(lines[:2])}")
            failed = failed or run.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
