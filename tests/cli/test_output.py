"""What commands print."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gateway.cli.output import format_time, print_table, printable, stderr_tail


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
