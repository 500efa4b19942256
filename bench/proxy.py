"""What it costs to call a tool through ModelGate, and through others, in front of the same server.

`python -m bench.proxy` starts everything itself and prints one table, each path beside the direct one. The SDK's server
takes most of the time of a call; a lean one shows what the proxies themselves take. The SDK's client takes much of the
rest: what it says in a session, and a plain POST, are also measured with a client that does next to nothing. The others
are installed below `.bench/`; one that cannot be installed is named and left out. `--only modelgate` leaves them out
altogether.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bench.figures import Figure, record
from bench.peers import contextforge
from bench.peers.sessions import Idle, idle_sessions
from gateway.access.roles import create_role
from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".bench"
UPSTREAM = [sys.executable, str(ROOT / "bench" / "peers" / "upstream.py")]
LEAN = [sys.executable, str(ROOT / "bench" / "peers" / "lean.py")]
OTHERS = (("FastMCP proxy", "fastmcp"), ("mcp-proxy", "mcp-proxy"))
MIB = 2**20

QUERY = "say something back"
ECHO = {"method": "tools/call", "tool": "echo", "arguments": {"text": "hello"}}
MUCH = {"method": "tools/call", "tool": "much", "arguments": {"bytes": MIB}}
LIST = {"method": "tools/list", "tool": "", "arguments": {}}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one measurement: milliseconds, and calls a second; a sentence where it failed."""

    p50: float = 0.0
    p95: float = 0.0
    rate: float = 0.0
    calls: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    path: str
    single: Outcome
    many: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Rows in front of the same server; the first is what the others are compared with: the direct path, where there is
    one.
    """

    title: str
    rows: list[Row]


def measure(
    target: dict[str, Any],
    what: dict[str, Any],
    *,
    connections: int = 1,
    calls: int,
    seconds: float,
    burst_every: float = 0.0,
) -> Outcome:
    """One measurement, by a process of its own; with `burst_every` the connections call together, once in so many
    seconds.
    """
    given = {
        "target": target,
        "what": what,
        "connections": connections,
        "calls": calls,
        "seconds": seconds,
        "burst_every": burst_every,
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "bench.peers.load"],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return Outcome(error="no outcome in time")
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip(" |+-")]
        return Outcome(error=lines[-1].strip(" |")[:120] if lines else "failed")
    return Outcome(**json.loads(ended.stdout))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], url: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens at `url`, until the block ends."""
    with tempfile.TemporaryFile() as output:
        # What this benchmark is told by variables, such as where its data lie, is no setting of a gateway.
        own = {name: text for name, text in os.environ.items() if not name.startswith("MODELGATE_")}
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**own, **(env or {})}, cwd=ROOT)
        try:
            deadline = time.monotonic() + 180
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    httpx2.get(url, timeout=1)
                    break
                except httpx2.HTTPError:
                    time.sleep(0.05)
            else:
                output.seek(0)
                raise RuntimeError(output.read()[-2_000:].decode(errors="replace"))
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def prepare(settings: Settings, http_upstream: str) -> tuple[str, str]:
    """A catalogue with the servers; returns a key that finds all tools, and one that lists all."""
    async with open_components(settings, connections=4) as parts:
        tenant = await tenant_by_slug(parts.database)
        new = [
            ServerDefinition("Bench", "stdio", command=UPSTREAM[0], args=tuple(UPSTREAM[1:])),
            ServerDefinition("Lean", "stdio", command=LEAN[0], args=tuple(LEAN[1:])),
            ServerDefinition("Web", "http", url=http_upstream),
            ServerDefinition("Many", "stdio", command=UPSTREAM[0], args=(*UPSTREAM[1:], "--tools", "648")),
        ]
        for server in new:
            await parts.sync.run(tenant.id, await parts.servers.add(tenant.id, server))
        await create_role(parts.database, tenant.id, "lists", "ALLOW")
        finds = await parts.keys.create(tenant.id, "finds", ["all"])
        lists = await parts.keys.create(tenant.id, "lists", ["lists"])
        return finds.key, lists.key


def settings_in(folder: Path, config: Path, port: int) -> tuple[Settings, dict[str, str]]:
    """The settings of the gateway that is measured, and the environment that says them."""
    environ = {
        "MODELGATE_DATA_DIR": str(folder),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_SERVER_PORT": str(port),
        "MODELGATE_SERVER_SESSION_IDLE_SECONDS": "20",
        "MODELGATE_SERVER_LOG_LEVEL": "error",
        "MODELGATE_MCP_MAX_RESULT_BYTES": str(4 * MIB),
    }
    return load_settings(config, environ), environ


def peer(package: str) -> Path | None:
    """The folder of programs of a peer, installed where it is not; None where it cannot be."""
    programs = PEERS / package / "bin"
    done = PEERS / package / ".installed"
    if not done.exists():
        print(f"Installing {package} below {PEERS} …", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", str(PEERS / package)], check=False)
        pip = [str(programs / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
        if made.returncode or subprocess.run(pip, check=False, stderr=subprocess.DEVNULL).returncode:
            return None
        done.touch()
    return programs


def measure_peer(name: str, package: str, upstream: list[str], calls: int, seconds: float) -> Row:
    """FastMCP's proxy, or mcp-proxy, in front of a stdio server."""
    programs = peer(package)
    if programs is None:
        return Row(name, Outcome(error="could not be installed; left out"))
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    if name == "FastMCP proxy":
        command = [str(programs / "python"), str(ROOT / "bench" / "peers" / "fastmcp_proxy.py"), str(port), *upstream]
    else:
        command = [str(programs / "mcp-proxy"), "--port", str(port), "--", *upstream]
    try:
        with started(command, url):
            target = {"url": url}
            return Row(
                f"{name} (SDK client)",
                measure(target, ECHO, calls=min(calls, 500), seconds=seconds),
                measure(target, ECHO, connections=16, calls=calls, seconds=seconds),
            )
    except RuntimeError as error:
        return Row(name, Outcome(error=f"did not start: {str(error).splitlines()[-1][:100]}"))


def measure_contextforge(calls: int, seconds: float) -> Row:
    """ContextForge in front of a server over HTTP."""
    name = "ContextForge"
    programs = peer(contextforge.PACKAGE)
    if programs is None:
        return Row(name, Outcome(error="could not be installed; left out"))
    web_port, port = free_port(), free_port()
    web_url, url = f"http://127.0.0.1:{web_port}/mcp", f"http://127.0.0.1:{port}"
    command = [str(programs / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="modelgate-bench-") as folder,
            started([*UPSTREAM, "--port", str(web_port)], web_url),
            started(command, f"{url}/health", contextforge.environ_in(Path(folder))),
        ):
            target = contextforge.register(url, web_url)
            return Row(
                f"{name} (SDK client)",
                measure(target, ECHO, calls=min(calls, 500), seconds=seconds),
                measure(target, ECHO, connections=16, calls=calls, seconds=seconds),
            )
    except RuntimeError as error:
        return Row(name, Outcome(error=f"did not start: {str(error).splitlines()[-1][:100]}"))


def measure_fastmcp_search(seconds: float) -> Row:
    """FastMCP's search by BM25, among the same tools."""
    name = "FastMCP BM25 (SDK client)"
    programs = peer("fastmcp")
    if programs is None:
        return Row(name, Outcome(error="could not be installed; left out"))
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    script = str(ROOT / "bench" / "peers" / "fastmcp_proxy.py")
    command = [str(programs / "python"), script, "--search", str(port), *UPSTREAM, "--tools", "648"]
    try:
        with started(command, url):
            what = {"method": "tools/call", "tool": "search_tools", "arguments": {"query": QUERY}}
            return Row(name, measure({"url": url}, what, calls=100, seconds=seconds))
    except RuntimeError as error:
        return Row(name, Outcome(error=f"did not start: {str(error).splitlines()[-1][:100]}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3_000, help="at most so many calls in a measurement")
    parser.add_argument("--seconds", type=float, default=6.0, help="at most so long a measurement")
    parser.add_argument("--sessions", type=int, default=1_000, help="idle handshake sessions")
    parser.add_argument("--only", choices=["modelgate"], help="leave the others out")
    given = parser.parse_args()

    def both(path: str, target: dict[str, Any]) -> Row:
        return Row(
            path,
            measure(target, ECHO, calls=given.calls, seconds=given.seconds),
            measure(target, ECHO, connections=16, calls=given.calls * 2, seconds=given.seconds),
        )

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelgate-bench-")))
        web_port, port = free_port(), free_port()
        web_url, url = f"http://127.0.0.1:{web_port}/mcp", f"http://127.0.0.1:{port}/mcp"
        stack.enter_context(started([*UPSTREAM, "--port", str(web_port)], web_url))
        config = folder / "config.toml"
        config.touch()
        settings, environ = settings_in(folder / "data", config, port)
        finds, lists = asyncio.run(prepare(settings, web_url))
        serve = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
        gateway = stack.enter_context(started(serve, f"http://127.0.0.1:{port}/ready", environ))

        # The SDK's client lists all tools again before each call of one that it has not seen listed.
        through = {"url": url, "key": lists}
        raw = {name: {"raw": name} for name in ("session", "one-shot")}

        def section(title: str, direct: dict[str, Any], prefix: str) -> Section:
            target = {**through, "prefix": prefix}
            rows = [both("direct (SDK client)", direct)]
            rows += [both("ModelGate (SDK client)", target)]
            rows += [both(f"ModelGate ({name})", target | kind) for name, kind in raw.items()]
            return Section(title, rows)

        def few_of(title: str, direct: dict[str, Any], what: dict[str, Any]) -> Section:
            target = {**through, "prefix": "bench__"}
            paths = {"direct (SDK client)": direct, "ModelGate (SDK client)": target}
            paths |= {f"ModelGate ({name})": target | kind for name, kind in raw.items()}
            rows = [
                Row(path, measure(given_to, what, calls=100, seconds=given.seconds)) for path, given_to in paths.items()
            ]
            return Section(title, rows)

        stdio = section("stdio", {"command": UPSTREAM}, "bench__")
        lean = section("stdio, lean server", {"command": LEAN}, "lean__")
        rest = [
            section("streamable HTTP", {"url": web_url}, "web__"),
            few_of("a result of 1 MiB", {"command": UPSTREAM}, MUCH),
            few_of("tools/list of 650", {"command": [*UPSTREAM, "--tools", "648"]}, LIST),
        ]
        sought = {"method": "tools/call", "tool": "tool_search", "arguments": {"query": QUERY}}
        search = Section(
            "search among 650 tools",
            [
                Row("ModelGate (SDK client)", measure(through, sought, calls=500, seconds=given.seconds)),
                Row(
                    "ModelGate (one-shot)",
                    measure(through | {"prefix": "", "raw": "one-shot"}, sought, calls=2_000, seconds=given.seconds),
                ),
            ],
        )
        idle = asyncio.run(idle_sessions(url, finds, gateway.pid, given.sessions, 20.0))
    if given.only is None:
        for part, upstream in ((stdio, UPSTREAM), (lean, LEAN)):
            part.rows.extend(measure_peer(*other, upstream, given.calls, given.seconds) for other in OTHERS)
        rest[0].rows.append(measure_contextforge(given.calls, given.seconds))
        search.rows.append(measure_fastmcp_search(given.seconds))
    report([stdio, lean, *rest, search], idle)


def leave_figures(section: Section) -> None:
    """What the page of all benchmarks shows of it."""
    group, direct = f"Calls through proxies: {section.title}", section.rows[0].single
    for row in section.rows:
        if row.single.error:
            continue
        record(
            Figure(group, row.path, "p50", row.single.p50, "ms"),
            Figure(group, row.path, f"× {section.rows[0].path}", row.single.p50 / (direct.p50 or 1.0), "ratio"),
        )
        if row.many is not None and not row.many.error:
            record(
                Figure(group, row.path, "rate at 16", row.many.rate, "per second"),
                Figure(group, row.path, "p95 at 16", row.many.p95, "ms"),
            )


def report(sections: list[Section], idle: Idle) -> None:
    """The table."""
    for section in sections:
        leave_figures(section)
    print(f"{'':32} {'one connection':>28}   {'16 connections':>30}")
    print(f"{'':32} {'p50 ms':>8} {'+ ms':>8} {'/s':>10}   {'/s':>8} {'× direct':>10} {'p95 ms':>10}")
    for section in sections:
        print(section.title)
        direct = section.rows[0]
        for row in section.rows:
            if row.single.error:
                print(f"  {row.path:30} {row.single.error}")
                continue
            more = row.single.p50 - direct.single.p50
            line = f"  {row.path:30} {row.single.p50:8.2f} {more:+8.2f} {row.single.rate:10.0f}"
            if row.many is not None and direct.many is not None:
                ratio = row.many.rate / direct.many.rate if direct.many.rate else 0.0
                line += f"   {row.many.error or f'{row.many.rate:8.0f} {ratio:10.2f} {row.many.p95:10.2f}'}"
            print(line)
    print(
        f"{idle.opened} idle handshake sessions: {idle.more_mib:.0f} MiB more ({idle.before_mib:.0f} MiB before); "
        f"{idle.left} left after their idle time, {idle.after_mib:.0f} MiB then"
    )


if __name__ == "__main__":
    main()
