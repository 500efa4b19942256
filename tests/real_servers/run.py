"""Published servers in front of the gateway, as `make real` runs them: what each lists directly, and through it.

    python -m tests.real_servers.run [NAME …] [--record]

Prints a table, writes it to tests/.artifacts/real_servers.md, and ends with 1 where a server that could be installed
lists otherwise through the gateway, changes without a change, or is not as expected.json has it, which --record writes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.cli.demo.listing import DemoServer
from gateway.cli.demo.servers import install_demo
from gateway.components import Components, open_components
from gateway.errors import ModelGateError
from gateway.settings import load_settings
from gateway.upstream.request import UpstreamRequest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "real_servers"
EXPECTED = HERE / "expected.json"
REPORT = HERE.parents[0] / ".artifacts" / "real_servers.md"
SECONDS = 90.0
# Hundreds of tools are embedded meanwhile.
SYNC_SECONDS = 600.0
AT_ONCE = 2

# One call each where it takes neither a network nor anything that changes.
CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "Everything": ("echo", {"message": "hello"}),
    "Memory": ("read_graph", {}),
    "Thinking": (
        "sequentialthinking",
        {"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
    ),
    "Calculator": ("calculate", {"expression": "6 * 7"}),
    "SQLite": ("list_tables", {}),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server lists, and what the call of it answers."""

    tools: tuple[str, ...]
    call: str | None = None


@dataclass(slots=True)
class Outcome:
    """What came of one server; `problems` are what should not be."""

    name: str
    direct: Listing | None = None
    through: Listing | None = None
    skipped: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


async def list_directly(server: DemoServer, folder: Path) -> Listing:
    """Through the client of the SDK, without the gateway."""
    parameters = StdioServerParameters(command=server.command, args=[*arguments(server, folder)], env=dict(server.env))
    async with Client(parameters, mode="legacy") as client:
        tools, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        call = None
        if server.name in CALLS:
            called = await client.call_tool(*CALLS[server.name])
            call = text_of([block.model_dump() for block in called.content])
        return Listing(tuple(sorted(tools)), call)


async def list_through(parts: Components, server: DemoServer, folder: Path, outcome: Outcome) -> Listing:
    """Through the gateway: synced twice, of which the second must find nothing new."""
    tenant = await tenant_by_slug(parts.database)
    new = ServerDefinition(server.name, "stdio", server.command, arguments(server, folder), env=server.env)
    server_id = await parts.servers.add(tenant.id, new)
    first = await parts.sync.run(tenant.id, server_id)
    second = await parts.sync.run(tenant.id, server_id)
    if second.added or second.changed or second.removed:
        outcome.problems.append(f"is not the same twice: {second.added + second.changed + second.removed}")
    outcome.skipped = len(first.skipped)
    call = None
    if server.name in CALLS:
        name, given = CALLS[server.name]
        spec = await parts.servers.spec(tenant.id, server_id)
        request = UpstreamRequest("tools/call", {"name": name, "arguments": given})
        call = text_of((await parts.pool.request(spec, request))["content"])
    return Listing(tuple(sorted({*first.added, *(tool.name for tool in first.skipped)})), call)


def arguments(server: DemoServer, folder: Path) -> tuple[str, ...]:
    """The arguments of a server, with a folder of its own where it takes one."""
    extra = {
        "Filesystem": (str(folder),),
        "SQLite": ("--db-path", str(folder / "data.db")),
    }
    return (*server.args, *extra.get(server.name, ()))


def text_of(content: list[Any]) -> str:
    """The text of the first block."""
    return str(content[0].get("text", ""))[:500] if content else ""


async def look_at(parts: Components, server: DemoServer, expected: Mapping[str, Any]) -> Outcome:
    """Compare what a server does directly, through the gateway, and did when it was recorded."""
    outcome = Outcome(server.name)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome.direct = await asyncio.wait_for(list_directly(server, Path(folder)), SECONDS)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the table says what it was.
            outcome.problems.append(f"does not work directly: {error!r:.200}")
        try:
            through = list_through(parts, server, Path(folder), outcome)
            outcome.through = await asyncio.wait_for(through, SYNC_SECONDS)
        except asyncio.TimeoutError:
            outcome.problems.append(f"is not synced within {SYNC_SECONDS:.0f} s")
        except ModelGateError as error:
            outcome.problems.append(f"does not work through the gateway: {error!s:.300}")
    outcome.seconds = time.monotonic() - started
    if outcome.direct is not None and outcome.through is not None:
        # Servers show some tools only to clients that can answer questions, as the gateway can.
        missing = set(outcome.direct.tools) - set(outcome.through.tools)
        if missing or outcome.direct.call != outcome.through.call:
            outcome.problems.append(f"is not the same through the gateway: {sorted(missing)}, {outcome.through.call}")
    recorded = expected.get(server.name)
    if recorded is not None and outcome.through is not None and as_recorded(outcome.through) != recorded:
        outcome.problems.append("is not as expected.json has it")
    return outcome


def as_recorded(listing: Listing) -> dict[str, Any]:
    """A listing as expected.json has it."""
    return {"count": len(listing.tools), **json.loads(json.dumps(asdict(listing)))}


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a table of Markdown."""
    lines = ["| server | directly | through the gateway | left out | call | s | |", "|---|---|---|---|---|---|---|"]
    for outcome in sorted(outcomes, key=lambda each: each.name):
        direct = "–" if outcome.direct is None else len(outcome.direct.tools)
        through = "–" if outcome.through is None else len(outcome.through.tools)
        called = "–" if outcome.through is None or outcome.through.call is None else "equal"
        said = "; ".join(outcome.problems) or "as it should be"
        lines.append(
            f"| {outcome.name} | {direct} | {through} | {outcome.skipped} | {called} | {outcome.seconds:.0f} | {said} |"
        )
    return "\n".join(lines)


async def run(names: list[str], *, record: bool, report: Callable[[str], None] = print) -> int:
    """Install, look at each, report; returns the exit status."""
    listings = [HERE / "servers.toml", HERE / "more_servers.toml"]
    servers: dict[str, DemoServer] = {}
    for listing in listings:
        for server in await install_demo(CACHE, report, listing, install_seconds=900):
            servers[server.name] = server
    chosen = [server for name, server in servers.items() if name != "Local MCP" and (not names or name in names)]
    expected = json.loads(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.exists() else {}
    limit = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as data:
        environ = {"MODELGATE_DATA_DIR": data, "MODELGATE_EMBEDDER_TYPE": "builtin", "MODELGATE_CONFIG": "/dev/null"}
        async with open_components(load_settings(environ=environ)) as parts:

            async def one(server: DemoServer) -> Outcome:
                async with limit:
                    outcome = await look_at(parts, server, {} if record else expected)
                    report(f"{outcome.name}: {'; '.join(outcome.problems) or 'as it should be'}")
                    return outcome

            outcomes = list(await asyncio.gather(*(one(server) for server in chosen)))
    report(table(outcomes))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(table(outcomes) + "\n", encoding="utf-8")
    if record:
        found = {each.name: as_recorded(each.through) for each in outcomes if each.through is not None}
        text = json.dumps(dict(sorted({**expected, **found}.items())), indent=1, ensure_ascii=False)
        EXPECTED.write_text(text + "\n", encoding="utf-8")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    sys.exit(asyncio.run(run(wanted, record="--record" in sys.argv)))
