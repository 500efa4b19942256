"""A node of OpenSearch as a process: one that a run of tests shares, or any number of one's own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.opensearch.install import VERSION, install, java

# Of OpenSearch 2; those of 3 that come with it are `…ModulePlugin`.
PLUGINS = (
    "org.opensearch.transport.Netty4Plugin",
    "org.opensearch.painless.PainlessPlugin",
    "org.opensearch.analysis.common.CommonAnalysisPlugin",
    "org.opensearch.index.mapper.MapperExtrasPlugin",
    "org.opensearch.index.reindex.ReindexPlugin",
    "org.opensearch.knn.plugin.KNNPlugin",
)
_START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answers: its URL, where other nodes reach it, and its process."""

    url: str
    transport: str
    pid: int

    def kill(self) -> None:
        """End it at once, as a machine that loses power; nothing happens where it has ended."""
        self._end(signal.SIGKILL, 10)

    def stop(self) -> None:
        """End it as an administrator does, who lets it close its indexes."""
        self._end(signal.SIGTERM, 60)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
        deadline = time.monotonic() + seconds
        while _is_alive(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)


def start_node(
    where: Path,
    *,
    version: str = VERSION,
    heap_mb: int = 512,
    is_brief: bool = False,
    settings: Mapping[str, str] | None = None,
    plugins: Sequence[str] = PLUGINS,
) -> Node:
    """Start a node with its files in `where`, and return once it answers; it ends with this process, or when the
    processes that `use` it have ended.

    One that `is_brief` is compiled for a start in half the processor time, and not for speed. `settings` are
    OpenSearch's, a list as "[one,two]"; without any it is a cluster by itself. Raises NotInstalledError
    where there is none to be had, and RuntimeError where it does not start.
    """
    installed = install(version)
    users = where / "users"
    users.mkdir(parents=True, exist_ok=True)
    use(where)
    own = {
        "path.home": str(where),
        "path.data": str(where / "data"),
        "path.logs": str(where / "logs"),
        "cluster.name": "modelgate-tests",
        "network.host": "127.0.0.1",
        "transport.type": "netty4",
        "http.type": "netty4",
        "http.port": "0",
        "transport.port": "0",
        "discovery.type": "single-node",
        # Of this machine's disk nothing is known, and most of these indexes are gone in a second.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **(settings or {}),
    }
    if "discovery.seed_hosts" in own:
        del own["discovery.type"]
    command = [
        *(java(), f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"),
        f"-XX:TieredStopAtLevel={1 if is_brief else 4}",
        *("-Dlog4j2.level=WARN", "-Dopensearch.networkaddress.cache.ttl=60", "-Dfile.encoding=UTF-8"),
        *("-cp", f"{installed / 'classes'}:{installed / 'lib'}/*", "OpenSearchNode", str(users)),
        *(f"{name}={value}" for name, value in own.items()),
        *(f"+{_named(plugin, version)}" for plugin in plugins),
    ]
    output = where / "output"
    # It may outlive this process, which then has nothing to wait for.
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for line in output.read_text(errors="replace").splitlines() if output.exists() else ():
            if line.startswith("listening "):
                _, http, transport = line.split()
                return Node(f"http://{http}", transport, pid)
        if not _is_alive(pid):
            break
        time.sleep(0.1)
    said = output.read_text(errors="replace")[-2000:]
    Node("", "", pid).kill()
    raise RuntimeError(f"A node of OpenSearch did not start within {_START_SECONDS:g} s: {said}")


def _named(plugin: str, version: str) -> str:
    """A plugin as this version calls it."""
    is_module = not plugin.startswith("org.opensearch.knn.")
    return plugin.removesuffix("Plugin") + "ModulePlugin" if is_module and not version.startswith("2.") else plugin


def use(where: Path) -> None:
    """Keep the node in `where` running for as long as this process runs, or until it is let go of."""
    (where / "users" / str(os.getpid())).touch()


@contextlib.contextmanager
def running_node(where: Path, **how: object) -> Iterator[Node]:
    """A node of one's own; its files are gone afterwards."""
    node = start_node(where, **how)  # type: ignore[arg-type]
    try:
        yield node
    finally:
        node.kill()
        shutil.rmtree(where, ignore_errors=True)


@contextlib.contextmanager
def shared_node(run: str) -> Iterator[Node]:
    """The node of a run of tests: the first of its processes starts it, and it ends with the last of them."""
    where = Path(tempfile.gettempdir()) / f"modelgate-opensearch-{run}"
    with _locked(where):
        (where / "users").mkdir(parents=True, exist_ok=True)
        use(where)
        node = _known(where)
        if node is None:
            # It is to outlive this process, which may be the first to be done.
            try:
                node = start_node(where, is_brief=True)
            except BaseException:
                shutil.rmtree(where, ignore_errors=True)
                raise
            (where / "node").write_text(f"{node.url} {node.transport} {node.pid}", encoding="utf-8")
    try:
        yield node
    finally:
        with _locked(where):
            (where / "users" / str(os.getpid())).unlink(missing_ok=True)
            if not any((where / "users").iterdir()):
                node.kill()
                shutil.rmtree(where, ignore_errors=True)


def remove_indexes(url: str, prefix: str) -> None:
    """Leave no index behind whose name begins so."""
    with httpx2.Client(timeout=30) as client:
        names = client.get(f"{url}/_cat/indices/{prefix}*", params={"h": "index", "expand_wildcards": "all"}).text
        for name in names.split():
            client.delete(f"{url}/{name}")


def _known(where: Path) -> Node | None:
    try:
        url, transport, pid = (where / "node").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    return Node(url, transport, int(pid)) if _is_alive(int(pid)) else None


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    return Path(f"/proc/{pid}").exists() if Path("/proc").is_dir() else _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def _locked(where: Path) -> Iterator[None]:
    """One process at a time; the lock is gone with the last of them."""
    path = where.parent / f"{where.name}.lock"
    while True:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Whoever had it may have taken it away, and another one may hold one of this name.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
    try:
        yield
    finally:
        if not where.exists():
            path.unlink()
        file.close()
