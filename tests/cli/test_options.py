"""What the values of options are read as."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest

from gateway.cli.options import option_group, parse_time, parse_time_span

CONTEXT = click.Context(click.Command("any"))
OPTION = click.Option(["--any"])


@pytest.mark.parametrize(
    ("value", "span"),
    [
        (None, None),
        ("0m", timedelta(0)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_time_span_is_a_number_with_a_unit(value: str | None, span: timedelta | None) -> None:
    assert parse_time_span(CONTEXT, OPTION, value) == span


@pytest.mark.parametrize("value", ["", "5", "5y", "-5m", "05m", "100000d", "1d2h"])
def test_any_other_span_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="no time span"):
        parse_time_span(CONTEXT, OPTION, value)


def test_a_time_without_a_zone_is_in_utc_and_one_with_a_zone_is_taken_as_it_is() -> None:
    assert parse_time(CONTEXT, OPTION, "2026-01-31") == datetime(2026, 1, 31, tzinfo=timezone.utc)
    assert parse_time(CONTEXT, OPTION, "2026-01-31T10:00:00+02:00") == datetime(2026, 1, 31, 8, tzinfo=timezone.utc)
    assert parse_time(CONTEXT, OPTION, None) is None


def test_a_time_may_be_said_by_how_long_ago_it_was() -> None:
    before = datetime.now(timezone.utc)
    moment = parse_time(CONTEXT, OPTION, "12h")
    assert moment is not None
    assert before <= moment + timedelta(hours=12) <= datetime.now(timezone.utc)


@pytest.mark.parametrize("value", ["", "0m", "yesterday", "2026-13-01"])
def test_any_other_time_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        parse_time(CONTEXT, OPTION, value)


def test_options_of_a_group_are_listed_in_their_order() -> None:
    @click.command()
    @option_group(click.option("--first"), click.option("--second"))
    def command(first: str, second: str) -> None:
        """Any."""

    assert [option.name for option in command.params] == ["first", "second"]
