"""How long a first sync takes, and one with nothing changed.

    python -m bench.sync [--data FOLDER] [--sizes 650,5194]

The folder (or $MODELGATE_BENCH_DATA) holds `toucan-mcp-tools.jsonl.gz`. For each size a gateway is started as a user
starts it, beside an embedded PostgreSQL and with the builtin embedder, and it syncs that many tools from real upstream
servers over stdio, twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from bench.catalogue import Tool, read_tools
from bench.figures import Figure, record
from bench.search import Gateway
from gateway.database.embedded import EmbeddedServer
from tests.support.listed import listed_command


def client_configuration(tools: list[Tool], folder: Path) -> Path:
    """An mcpServers file with one real stdio server for each server of the tools."""
    by_server: dict[str, list[Tool]] = {}
    for tool in tools:
        by_server.setdefault(tool["server"].replace("/", " ")[:100], []).append(
            {key: tool[key] for key in ("name", "description", "inputSchema")}
        )
    servers = {}
    for number, (name, listed) in enumerate(by_server.items()):
        file = folder / f"{number}.json"
        # One that was started with it may be reading it.
        written = file.with_suffix(".new")
        written.write_text(json.dumps({"tools": listed}), encoding="utf-8")
        written.replace(file)
        command, arguments = listed_command(file)
        servers[name] = {"command": command, "args": list(arguments)}
    path = folder / "servers.json"
    path.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return path


async def measure(folder: Path, size: int) -> None:
    tools = read_tools(folder, size)
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as data_dir:
        database_server = EmbeddedServer(Path(data_dir))
        url = await asyncio.to_thread(database_server.start)
        try:
            async with Gateway(Path(data_dir), url) as gateway:
                await gateway.command("servers", "import", str(client_configuration(tools, Path(data_dir))))
                for name in ("first sync", "nothing changed"):
                    started = time.perf_counter()
                    outcome = (await gateway.command("sync")).strip().rpartition("\n")[2]
                    took = time.perf_counter() - started
                    print(f"{size} tools, {name}: {took:.1f} s. {outcome}", flush=True)
                    target = 8.0 if (size, name) == (650, "first sync") else None
                    record(Figure("Sync over stdio", f"{size:,} tools", name, took, "s", target=target))
        finally:
            await asyncio.to_thread(database_server.stop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("MODELGATE_BENCH_DATA", "../shared/data/retrieval"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real tools")
    parser.add_argument("--sizes", default="650,5194", help="how many of its tools, one run for each")
    arguments = parser.parse_args()
    for size in arguments.sizes.split(","):
        asyncio.run(measure(arguments.data, int(size)))


if __name__ == "__main__":
    main()
