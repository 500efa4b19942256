"""What commands print."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import pytest

from gateway.cli.output import format_time, print_json, print_table, printable, stderr_tail


class Terminal(io.StringIO):
    """A standard output that is one."""

    def isatty(self) -> bool:
        return True


def test_a_table_has_columns_as_wide_as_they_need_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["NAME", "N"], [["a", "1"], ["longer", ""]])
    assert capsys.readouterr().out == "NAME    N\na       1\nlonger\n"


def test_text_from_elsewhere_is_one_line_without_control_characters_and_cut() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"
    assert printable("grüße 🌍") == "grüße 🌍"
    assert printable("123456", 5) == "1234…"


def test_a_time_is_written_in_utc_to_the_minute() -> None:
    elsewhere = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 1, 31, 10, 5, 59, tzinfo=elsewhere)) == "2026-01-31 08:05"
    assert format_time(None) == "never"


def test_only_the_last_lines_of_standard_error_output_are_shown() -> None:
    assert stderr_tail("") == []
    assert stderr_tail("\n \n") == []
    shown = stderr_tail("\n".join(f"line {number}" for number in range(50)))
    assert shown[0] == "  It wrote to its standard error output:"
    assert shown[1:] == [f"  | line {number}" for number in range(40, 50)]


def test_on_a_terminal_a_table_fits_it_and_what_looks_like_markup_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    print_table(["NAME", "STATE"], [["[red]a[/red] " + "b" * 30, "failing: no answer"], ["c", "synced"]])
    shown = out.getvalue()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "[red]a[/red]" in plain
    assert all(len(line) <= 30 for line in plain.splitlines())
    assert "\x1b[31mfailing" in shown
    assert "\x1b[32msynced" in shown


def test_mappings_sets_and_times_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 1, 31, 10, 5, tzinfo=timezone.utc)
    print_json({"at": moment, "fixed": MappingProxyType({"a": 1}), "names": frozenset({"b", "a"}), "where": Path("/x")})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-01-31T10:05:00+00:00",
        "fixed": {"a": 1},
        "names": ["a", "b"],
        "where": "/x",
    }
