"""A real node of OpenSearch with ML Commons, k-NN and neural search, from Maven's packages.

python -m tests.opensearch_ml.node FOLDER starts one, which keeps its indices there, until its input ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

_HERE = Path(__file__).parent
HOME = _HERE.parents[1] / ".cache" / "opensearch-ml"
_STAMP = HOME / "installed"

# What the packages of the modules lack, for they are meant for the class path: their descriptors.
_MODULES = {
    "transport-netty4": ("transport-netty4-client", "org.opensearch.transport.Netty4Plugin"),
    "lang-painless": ("lang-painless", "org.opensearch.painless.PainlessPlugin"),
    "analysis-common": ("analysis-common", "org.opensearch.analysis.common.CommonAnalysisPlugin"),
    # Models are deleted by a query.
    "reindex": ("reindex-client", "org.opensearch.index.reindex.ReindexPlugin"),
}
_DESCRIPTOR = """description=OpenSearch's module {name}
version={version}
name={name}
classname={classname}
java.version=11
opensearch.version={version}
extended.plugins=
has.native.controller=false
"""
_START_SECONDS = 180


def absence() -> str | None:
    """Why no node can be started, None where it can."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    return f"This machine has no {' and no '.join(missing)}; the node takes them." if missing else None


def install() -> None:
    """Lay the node out, once. Raises CalledProcessError."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pom = (_HERE / "pom.xml").read_text(encoding="utf-8")
        if _STAMP.is_file() and _STAMP.read_text(encoding="utf-8") == pom:
            return
        for part in ("lib", "modules", "plugins", "markers"):
            shutil.rmtree(HOME / part, ignore_errors=True)
        command = ["mvn", "--batch-mode", "--quiet", "--file", str(_HERE / "pom.xml"), f"-Dhome={HOME}"]
        subprocess.run([*command, "process-resources"], check=True, cwd=HOME, stdout=sys.stderr)
        for name, (artifact, classname) in _MODULES.items():
            folder = HOME / "modules" / name
            folder.mkdir(exist_ok=True)
            jar = next((HOME / "modules").glob(f"{artifact}-*.jar"))
            version = jar.stem.removeprefix(f"{artifact}-")
            jar.rename(folder / jar.name)
            text = _DESCRIPTOR.format(name=name, version=version, classname=classname)
            (folder / "plugin-descriptor.properties").write_text(text, encoding="utf-8")
        for pattern, name in (("*painless-spi*.jar", "lang-painless"), ("*ssl-config*.jar", "reindex")):
            for jar in (HOME / "modules").glob(pattern):
                jar.rename(HOME / "modules" / name / jar.name)
        _STAMP.write_text(pom, encoding="utf-8")


@contextmanager
def running_node(folder: Path) -> Iterator[str]:
    """The address of a node that keeps its indices below `folder`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            [
                *("java", "-Xms768m", "-Xmx768m", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={folder}"),
                *("-cp", str(HOME / "lib" / "*"), str(_HERE / "MlNode.java"), str(HOME), str(folder), "0"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            while url and not url.startswith("http"):
                log.write(url + "\n")
                url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"The node ended: {(folder / 'node.log').read_text(encoding='utf-8')[-3000:]}")
            _wait(url)
            yield url
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        answer = httpx2.get(f"{url}/_cluster/health?wait_for_status=yellow&timeout=10s", timeout=20)
        if answer.status_code == 200:
            return
    raise RuntimeError("The node did not become ready.")


if __name__ == "__main__":
    install()
    with running_node(Path(sys.argv[1])) as address:
        print(address, flush=True)
        sys.stdin.read()
