from __future__ import annotations

import email.utils
import time

import pytest

from gateway.embedding.servers.server_reply import ServerReply, parse_retry_after


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": "no such model"}', "no such model"),
        (b'{"error": {"message": "too long", "code": 1}}', "too long"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"message": "line one\\nline\\u0000 two"}', "line one line two"),
        (b'{"error": {"code": 1}}', ""),
        (b'{"error": 7}', ""),
        (b"[1]", ""),
        (b"<html>oops</html>", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_servers_own_words_are_found_where_there_are_any(body: bytes, expected: str) -> None:
    assert ServerReply.parse(400, body).error_text() == expected


def test_a_secret_in_the_servers_words_is_not_repeated() -> None:
    assert ServerReply.parse(400, b'{"error": "bad key sk-1 given"}').error_text("sk-1") == "bad key … given"


def test_long_words_are_cut() -> None:
    assert len(ServerReply.parse(400, b'{"error": "' + b"x" * 5000 + b'"}').error_text()) == 200


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    assert parse_retry_after(None) is None
    assert parse_retry_after(" 7 ") == 7.0
    assert parse_retry_after("soon") is None
    assert parse_retry_after("-1") is None
    assert parse_retry_after("9" * 400) == 365 * 86_400
    assert parse_retry_after("Mon, 01 Jan 0001 00:00:00 -0000") in (None, 0.0)
    in_a_minute = parse_retry_after(email.utils.formatdate(time.time() + 60, usegmt=True))
    assert in_a_minute is not None
    assert 55 < in_a_minute <= 60
    assert parse_retry_after(email.utils.formatdate(time.time() - 60, usegmt=True)) == 0.0
