"""What the audit log costs: time on the path of a call, and time to write what was recorded.

    python -m bench.audit [--calls N]

Uses a database of its own in the embedded PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from gateway.access.caller import Caller
from gateway.audit.call_log import CallLog
from gateway.audit.recorder import AuditRecorder
from gateway.database.pool import open_database
from gateway.settings import AuditSettings, load_settings
from gateway.telemetry.metrics import Metrics


async def measure(calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        settings = load_settings(environ={"MODELGATE_DATA_DIR": folder})
        async with open_database(settings) as database:
            recorder = AuditRecorder(database, AuditSettings(queue_events=calls + 1))
            call_log = CallLog(recorder, Metrics())
            caller = Caller(1, 1, "bench", (1,), address="127.0.0.1")
            arguments = {"path": "/tmp/a", "text": "some words " * 10, "password": "x"}
            async with recorder:
                began = time.perf_counter()
                for _ in range(calls):
                    async with call_log.call(caller, "server__tool", arguments) as logged:
                        logged.set_tool(1, 1, "Server")
                        logged.set_outcome("ok")
                path = time.perf_counter() - began
                cpu = time.process_time()
                began = time.perf_counter()
            written = time.perf_counter() - began
            cpu = time.process_time() - cpu
            print(
                f"{calls} calls: {path / calls * 1e6:.1f} µs each on the path; written in {written:.2f} s "
                f"({calls / written:,.0f}/s), {cpu / calls * 1e6:.1f} µs of this process each; "
                f"dropped {recorder.state().dropped}"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000)
    asyncio.run(measure(parser.parse_args().calls))


if __name__ == "__main__":
    main()
