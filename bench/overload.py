"""What one tenant notices of another that floods the gateway, and what a refusal costs.

`python -m bench.overload` measures a client of one tenant by itself, and again while so many connections of another
tenant send calls without a pause, or all at the same time once a second.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.proxy import ECHO, LEAN, Outcome, free_port, measure, settings_in, started
from gateway.access.roles import create_role
from gateway.access.tenants import create_tenant, tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.components import open_components
from gateway.settings import Settings

_BURST_EVERY = 1.0


async def prepare(settings: Settings) -> tuple[str, str]:
    """Two tenants with a server each; returns a key of either."""
    keys = []
    async with open_components(settings, connections=4) as parts:
        first = await tenant_by_slug(parts.database)
        second = await create_tenant(parts.database, "second")
        for tenant in (first, second):
            server = ServerDefinition("Lean", "stdio", command=LEAN[0], args=tuple(LEAN[1:]))
            await parts.sync.run(tenant.id, await parts.servers.add(tenant.id, server))
            await create_role(parts.database, tenant.id, "bench", "ALLOW")
            keys.append((await parts.keys.create(tenant.id, "bench", ["bench"])).key)
    return keys[0], keys[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flood", type=int, default=64, help="connections of the tenant that floods")
    parser.add_argument("--burst", type=int, default=500, help="connections of the tenant that comes in bursts")
    parser.add_argument("--seconds", type=float, default=6.0, help="at most so long a measurement")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelgate-bench-")))
        port = free_port()
        config = folder / "config.toml"
        config.touch()
        settings, environ = settings_in(folder / "data", config, port)
        flooding_key, modest_key = asyncio.run(prepare(settings))
        serve = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
        stack.enter_context(started(serve, f"http://127.0.0.1:{port}/ready", environ))
        target = {"url": f"http://127.0.0.1:{port}/mcp", "prefix": "lean__", "raw": "one-shot"}

        def load(key: str, connections: int, seconds: float, burst_every: float = 0.0) -> Outcome:
            what: dict[str, Any] = {"connections": connections, "calls": 1_000_000, "seconds": seconds}
            return measure({**target, "key": key}, ECHO, **what, burst_every=burst_every)

        print(f"{'':34} {'p50 ms':>8} {'p95 ms':>8} {'/s':>8}")
        for connections in (1, 8):
            before = load(modest_key, connections, given.seconds)
            show(connections, "alone", before)
            for name, others, burst_every in (("flood", given.flood, 0.0), ("burst", given.burst, _BURST_EVERY)):
                with ThreadPoolExecutor() as threads:
                    flooding = threads.submit(load, flooding_key, others, given.seconds + 3, burst_every)
                    during = load(modest_key, connections, given.seconds)
                    flood = flooding.result()
                show(connections, f"beside a {name}", during)
                show(connections, f"the {name}", flood)
                if before.p95:
                    print(f"{'':14} p95 × {during.p95 / before.p95:.2f}")


def show(connections: int, name: str, outcome: Outcome) -> None:
    text = outcome.error or f"{outcome.p50:8.2f} {outcome.p95:8.2f} {outcome.rate:8.0f}"
    print(f"{connections} connections, {name:19} {text}")


if __name__ == "__main__":
    main()
