"""All benchmarks of how fast the gateway is and how it grows, one after the other, and one page of what they found.

    python -m bench.everything [--small] [--minutes 20] [--out .bench]

Writes `report.html` and `figures.jsonl` below `--out`. On a free machine of two cores it takes less than `--minutes`;
what has not begun by then is left out, and the page says so. `--small` takes small catalogues, short loads, and no
other gateways. Other work on the machine makes every figure worse: the page notes the load before it began.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bench.figures import VARIABLE, read_figures
from bench.page import Run, page
from gateway import __version__

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module with its arguments, and what it may take in seconds."""

    module: str
    arguments: tuple[str, ...]
    seconds: float

    @property
    def command(self) -> str:
        return " ".join(("python -m", self.module, *self.arguments))


def benchmarks(small: bool) -> list[Benchmark]:
    """The most telling first: what has not begun in time is left out."""
    sizes = "650,5194" if small else "650,5194,20000,100000"
    load = "1" if small else "2"
    few = ("--small",) if small else ()
    return [
        Benchmark("bench.search", ("--sizes", "650", "--seconds", load), 120),
        Benchmark(
            "bench.proxy", ("--seconds", load, "--sessions", "500", *(("--only", "modelgate") if small else ())), 480
        ),
        Benchmark("bench.observability", ("--seconds", load), 90),
        Benchmark("bench.scale", ("tools", "--sizes", sizes, "--seconds", load), 420),
        Benchmark("bench.workers", ("--requests", "1500"), 120),
        Benchmark("bench.changes", ("--rounds", "3"), 60),
        Benchmark("bench.guards", ("--rounds", "5" if small else "20"), 60),
        Benchmark("bench.overload", ("--seconds", load), 90),
        Benchmark("bench.sync", ("--sizes", "650"), 120),
        Benchmark("bench.identity", ("--persons", "500" if small else "10000"), 240),
        Benchmark("bench.scale", ("servers", *few), 240),
        Benchmark("bench.scale", ("tenants", "--seconds", load, *few), 240),
        Benchmark("bench.scale", ("keys", "sessions", "--seconds", load, *few), 180),
    ]


async def run_all(small: bool, minutes: float, out: Path) -> Run:
    """Run each until the time is over; its words go to standard output, its figures to the file."""
    outcomes: list[tuple[str, str, float]] = []
    began, load = time.monotonic(), os.getloadavg()[0]
    environ = {**os.environ, VARIABLE: str(out / "figures.jsonl")}
    for benchmark in benchmarks(small):
        left = minutes * 60 - (time.monotonic() - began)
        if left <= 0:
            outcomes.append((benchmark.command, "left out: the time was over", 0.0))
            continue
        print(f"\n== {benchmark.command}", flush=True)
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", benchmark.module, *benchmark.arguments), cwd=ROOT, env=environ
        )
        try:
            code = await asyncio.wait_for(process.wait(), min(benchmark.seconds, left + 60))
            how = "ok" if code == 0 else f"failed with exit code {code}"
        except asyncio.TimeoutError:
            process.terminate()
            await process.wait()
            how = f"ended after {benchmark.seconds:.0f} s"
        outcomes.append((benchmark.command, how, time.monotonic() - started))
    words = f"{processor()}, {os.cpu_count()} cores, load {load:.1f} before; Python {platform.python_version()}"
    command = " ".join(["python -m bench.everything", *sys.argv[1:]])
    now = datetime.now(timezone.utc)
    return Run(f"{now:%Y-%m-%d %H:%M} UTC, ModelGate {__version__} {commit()}", words, command, outcomes)


def processor() -> str:
    """What the machine calls its processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    """What is measured, as git names it; empty outside of a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return described.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small catalogues, short loads, no other gateways")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin nothing after so long")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench", help="folder of the page and the figures")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out.resolve() / "figures.jsonl"
    file.unlink(missing_ok=True)
    run = asyncio.run(run_all(given.small, given.minutes, given.out.resolve()))
    report = given.out / "report.html"
    report.write_text(page(list(read_figures(file)), run), encoding="utf-8")
    print(f"\n{report}")
    if any(how != "ok" and not how.startswith("left out") for _, how, _ in run.outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
