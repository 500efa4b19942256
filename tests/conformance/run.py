"""Runs the official suite against the gateway: `python -m tests.conformance.run FOLDER [REVISION…]`.

Each revision is run before an upstream server of the modern era, the first also before one that knows only the
handshake.
FOLDER holds the suite, as `npm install` put it there.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from tests.conformance.serving import serve_gateway

HERE = Path(__file__).parent
REVISIONS = ("2025-11-25", "2026-07-28")
SCENARIO_MS = 30_000
ONLY_HANDSHAKE = "--handshake"


async def run(suite: Path, revision: str, *fixture_arguments: str) -> bool:
    """Run what a revision requires; prints the outcome, and all of the suite's output where it is not as expected."""
    node = suite / "node_modules" / "node" / "bin" / "node"
    script = suite / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    expected = HERE / f"expected-failures-{revision}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        async with serve_gateway(Path(folder) / "data", *fixture_arguments) as url:
            process = await asyncio.create_subprocess_exec(
                node,
                script,
                *("server", "--url", url, "--requirements", revision, "--timeout", str(SCENARIO_MS)),
                *("--expected-failures", expected, "-o", Path(folder) / "results"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=folder,
            )
            output = (await process.communicate())[0].decode(errors="replace")
    fine = process.returncode == 0
    if not fine or "-v" in sys.argv:
        print(output)
    upstream = "handshake" if fixture_arguments else "modern"
    counted = re.findall(r"^.*\b(\d+) passed, (\d+) failed.*$", output, re.MULTILINE)
    total = "{} passed, {} failed".format(*counted[-1]) if counted else "no count"
    print(f"{revision}, {upstream} upstream: {total}; {'as expected' if fine else 'NOT as expected'}", flush=True)
    return fine


async def main() -> int:
    suite = Path(sys.argv[1]).resolve()
    revisions = [argument for argument in sys.argv[2:] if argument in REVISIONS] or REVISIONS
    fine = [await run(suite, revision) for revision in revisions]
    if REVISIONS[0] in revisions:
        fine.append(await run(suite, REVISIONS[0], ONLY_HANDSHAKE))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
