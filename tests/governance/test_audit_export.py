"""`modelgate audit`, as whoever looks after the gateway uses it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from gateway.audit.recorder import AuditRecorder
from gateway.database.pool import open_database
from gateway.settings import AuditSettings, Settings
from tests.governance.test_audit import use


async def filled(settings: Settings) -> dict[str, str]:
    """Three calls in the audit log; the environment with which the command finds them."""
    async with open_database(settings) as database, AuditRecorder(database, AuditSettings()) as recorder:
        recorder.record(replace(use(1), at=datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()))
        recorder.record(replace(use(2), target="=HYPERLINK(1)", error='say "no",\nplease'))
        recorder.record(replace(use(3), outcome="failed"))
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MODELGATE_")}
    return {
        **environ,
        "MODELGATE_DATABASE_URL": settings.database.url,
        "MODELGATE_DATA_DIR": str(settings.data_dir),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
    }


def modelgate(environ: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60).stdout


async def test_an_export_as_json_lines_has_every_row_oldest_first(settings: Settings) -> None:
    environ = await filled(settings)
    rows = [json.loads(line) for line in modelgate(environ, "audit", "export").splitlines()]
    assert [row["target"] for row in rows] == ["tool 1", "=HYPERLINK(1)", "tool 3"]
    assert rows[0]["details"]["arguments"] == {"number": 1}
    recent = modelgate(environ, "audit", "export", "--since", "2026-02-01").splitlines()
    assert len(recent) == 2


async def test_an_export_as_csv_is_read_back_and_runs_no_formula(settings: Settings, tmp_path: Path) -> None:
    environ = await filled(settings)
    file = tmp_path / "trace.csv"
    said = modelgate(environ, "audit", "export", "--format", "csv", "--output", str(file))
    assert "3 rows" in said
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    assert [row["target"] for row in rows] == ["tool 1", "'=HYPERLINK(1)", "tool 3"]
    assert json.loads(rows[1]["details"])["error"] == 'say "no",\nplease'


async def test_a_list_is_narrowed_by_outcome_and_text(settings: Settings) -> None:
    environ = await filled(settings)
    said = modelgate(environ, "audit", "list", "--outcome", "failed")
    assert "tool 3" in said
    assert "tool 1" not in said
    assert "Nothing" in modelgate(environ, "audit", "list", "--find", "no such thing")


async def test_a_change_at_the_command_line_is_traced_with_the_users_name(settings: Settings) -> None:
    environ = await filled(settings)
    modelgate(environ, "keys", "create", "--name", "laptop")
    assert "command line" in modelgate(environ, "audit", "list", "--action", "key.added")
