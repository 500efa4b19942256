"""Secrets in arguments do not reach the audit log."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.audit.redaction import Redactor
from gateway.errors import SettingsError
from gateway.masking import MASK
from gateway.settings import AuditSettings


def redacted(arguments: dict[str, Any], **settings: Any) -> Any:
    return Redactor(AuditSettings(**settings)).redact_json(arguments)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Passwd",
        "api_key",
        "apiKey",
        "api-key",
        "X-API-Key",
        "access_token",
        "clientSecret",
        "authorization",
        "otp",
    ],
)
def test_arguments_with_the_name_of_a_secret_are_masked(name: str) -> None:
    assert redacted({name: "hunter2"}) == {name: MASK}


def test_numbers_that_no_database_takes_are_kept_as_text() -> None:
    assert redacted({"x": [float("nan"), float("inf"), 1.5]}) == {"x": ["nan", "inf", 1.5]}


def test_what_is_nested_deeper_than_anybody_reads_is_cut() -> None:
    nested: Any = "bottom"
    for _ in range(5_000):
        nested = [nested]
    assert "bottom" not in str(redacted({"x": nested}))


@pytest.mark.parametrize(
    "name", ["max_tokens_count", "keyboard", "passenger", "secretary", "author", "pinned", "monkey"]
)
def test_arguments_that_only_sound_so_are_kept(name: str) -> None:
    assert redacted({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "secret",
    [
        f"mg_{'ab' * 32}",
        "ghp_" + "a1B2" * 9,
        "sk-proj-" + "x1Y2" * 8,
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-1234567890-abcdefghij",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "Bearer abcdefghijklmnop",
    ],
)
def test_known_kinds_of_secrets_are_masked_in_any_text(secret: str) -> None:
    shown = redacted({"note": [f"take this {secret} please"]})["note"][0]
    assert MASK in shown
    assert secret not in shown
    assert shown.startswith("take this ")


@pytest.mark.parametrize("user", ["me:s3cret", "s3cret", "me:s3@cret", ":s3cret"])
def test_who_signs_in_at_an_address_is_masked(user: str) -> None:
    shown = redacted({"note": f"see postgres://{user}@db.example/x and more"})["note"]
    assert shown == f"see postgres://{MASK}@db.example/x and more"


def test_pointers_mask_what_they_point_to() -> None:
    arguments = {"items": [{"pin": 1, "a/b": "x"}, {"pin": 2, "a/b": "y"}], "deep": {"er": {"still": "z"}}}
    masked = redacted(arguments, redact_pointers=("/items/*/a~1b", "/deep/er"))
    assert masked == {"items": [{"pin": MASK, "a/b": MASK}, {"pin": MASK, "a/b": MASK}], "deep": {"er": MASK}}
    assert arguments["items"][0]["a/b"] == "x"  # type: ignore[index]


def test_own_patterns_are_masked() -> None:
    assert redacted({"iban": "DE02 1203"}, redact_patterns=(r"DE\d\d \d+",)) == {"iban": MASK}


def test_long_arguments_are_cut() -> None:
    assert len(redacted({"text": "ä" * 10_000}, argument_bytes=100).encode()) <= 110


@pytest.mark.parametrize("before", range(60, 100))
def test_a_secret_across_the_cut_leaves_nothing_of_itself(before: int) -> None:
    for secret in (f"mg_{'ab' * 32}", "eyJhbGciOiJIUzI1NiJ9." + "c2VjcmV0" * 150, "ghp_" + "a1B2" * 900):
        assert secret[:8] not in str(redacted({"text": "x" * before + f" {secret}"}, argument_bytes=100))
        shown = Redactor(AuditSettings()).redact_text("x" * before + f" {secret}", 100)
        assert secret[:8] not in shown
        assert len(shown) <= 100


def test_what_follows_behind_the_cut_is_not_read_at_all() -> None:
    shown = redacted({"a": "ghp_" + "x" * 9_000, "b": ["y"] * 1_000, "c": "z"}, argument_bytes=100)
    assert shown == {"a": MASK + "…", "…": "…"}


@pytest.mark.parametrize("url", ["https://name:pass@host/x", "postgresql://name:pass@host/x?password=pass"])
def test_passwords_of_addresses_are_masked_and_nothing_around_them(url: str) -> None:
    assert redacted({"url": url}) == {"url": url.replace("name:pass", MASK).replace("=pass", f"={MASK}")}


@pytest.mark.parametrize(
    ("setting", "value"), [("redact_pointers", "password"), ("redact_patterns", "("), ("redact_patterns", "(?<=x)y")]
)
def test_rules_that_cannot_be_stop_the_start(setting: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"audit.{setting}: {re.escape(repr(value))}"):
        redacted({}, **{setting: (value,)})
