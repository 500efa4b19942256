"""`modelgate audit`, as whoever looks after the gateway uses it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from gateway.audit.recorder import AuditRecorder
from gateway.database.pool import open_database
from gateway.settings import AuditSettings, Settings
from tests.cli.process import CommandLine
from tests.support.audit import tool_use


@pytest.fixture
async def audit(settings: Settings, modelgate: CommandLine) -> CommandLine:
    """Runs `modelgate audit` with arguments, where three calls are in the audit log."""
    async with open_database(settings) as database, AuditRecorder(database, AuditSettings()) as recorder:
        recorder.record(replace(tool_use(1), at=datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()))
        recorder.record(replace(tool_use(2), target="=HYPERLINK(1)", error='say "no",\nplease'))
        recorder.record(replace(tool_use(3), outcome="failed"))
    return replace(modelgate, group=("audit",))


async def test_an_export_as_json_lines_has_every_row_oldest_first(audit: CommandLine) -> None:
    rows = [json.loads(line) for line in (await audit.succeed("export")).splitlines()]
    assert [row["target"] for row in rows] == ["tool 1", "=HYPERLINK(1)", "tool 3"]
    assert rows[0]["details"]["arguments"] == {"number": 1}
    recent = (await audit.succeed("export", "--since", "2026-02-01")).splitlines()
    assert len(recent) == 2


async def test_an_export_as_csv_is_read_back_and_runs_no_formula(audit: CommandLine) -> None:
    assert "3 rows" in await audit.succeed("export", "--format", "csv", "--output", "audit.csv")
    text = (audit.folder / "audit.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["target"] for row in rows] == ["tool 1", "'=HYPERLINK(1)", "tool 3"]
    assert json.loads(rows[1]["details"])["error"] == 'say "no",\nplease'


async def test_an_export_replaces_no_file(audit: CommandLine) -> None:
    (audit.folder / "audit.jsonl").write_text("mine")
    result = await audit("export", "--output", "audit.jsonl")
    assert (result.code, "audit.jsonl cannot be written: File exists." in result.err) == (2, True)
    assert (audit.folder / "audit.jsonl").read_text() == "mine"


async def test_a_list_is_narrowed_by_outcome_and_text(audit: CommandLine) -> None:
    failed = await audit.succeed("list", "--outcome", "failed")
    assert "tool 3" in failed
    assert "tool 1" not in failed
    assert "Nothing" in await audit.succeed("list", "--find", "no such thing")


async def test_a_change_at_the_command_line_is_recorded_with_the_users_name(
    audit: CommandLine, modelgate: CommandLine
) -> None:
    await modelgate.succeed("keys", "create", "--name", "laptop")
    assert "command line" in await audit.succeed("list", "--action", "key.added")


async def test_what_is_old_is_masked_once_that_is_confirmed(audit: CommandLine) -> None:
    assert (await audit("redact", "--before", "2026-02-01", stdin="n\n")).code == 1
    assert "1 rows before 2026-02-01 00:00 UTC are masked" in await audit.succeed(
        "redact", "--before", "2026-02-01", "--yes"
    )
    rows = [json.loads(line) for line in (await audit.succeed("export")).splitlines()]
    assert [row["details"].get("arguments") for row in rows if row["action"] == "tool.call"] == [
        "********",
        {"number": 2},
        {"number": 3},
    ]
    assert "audit.redacted" in await audit.succeed("list", "--tenant", "-")
