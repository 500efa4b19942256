"""What is shown of addresses and of texts that repeat secrets."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.database.requirements import location_of
from gateway.masking import MASK, SecretMask, url_without_secrets

_SECRET = "hunter2/ü&pass"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@docs.example/mcp?key=s3cret#part", "https://docs.example/mcp"),
        ("https://user:p@w@docs.example:8443/", "https://docs.example:8443/"),
        ("HTTP://Docs.Example", "http://docs.example"),
        ("http://[::1]:8080/mcp", "http://[::1]:8080/mcp"),
        ("postgresql:///db?password=s3cret", "postgresql:///db"),
        ("http://docs.example:port/mcp", MASK),
        ("http://[::1/mcp", MASK),
        ("user:pw@docs.example/mcp", MASK),
        ("", MASK),
    ],
)
def test_of_an_address_is_shown_what_cannot_be_secret(url: str, shown: str) -> None:
    assert url_without_secrets(url) == shown


def test_an_address_that_the_http_client_has_read_is_shown_as_it_is() -> None:
    url = httpx2.URL("https://me:pw@Docs.Example:443/a%20b/ü?q=1")
    assert url_without_secrets(str(url)) == "https://docs.example/a%20b/%C3%BC"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://me:pw@db.example:5433/tools?sslmode=require", "db.example:5433/tools"),
        ("postgresql:///tools?host=/run", "localhost/tools"),
        ("postgresql://", "localhost"),
        ("host=db.example password=pw", MASK),
    ],
)
def test_a_database_is_named_by_its_place(url: str, location: str) -> None:
    assert location_of(url) == location


def test_a_secret_is_hidden_in_whatever_way_it_is_written() -> None:
    mask = SecretMask([_SECRET])
    for written in (
        _SECRET,
        json.dumps(_SECRET, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        quote(_SECRET, safe=""),
    ):
        assert mask.mask_bytes(f"<{written}>".encode()) == f"<{MASK}>".encode()
    assert mask.mask_json({_SECRET: ["x", {"y": f"a{_SECRET}b"}, 1, None]}) == {
        MASK: ["x", {"y": f"a{MASK}b"}, 1, None]
    }


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text(), st.text())
def test_no_secret_is_left_of_several_that_hold_each_other(secrets: list[str], before: str, after: str) -> None:
    mask = SecretMask([*secrets, "".join(secrets)])
    shown = mask.mask_text(before.replace("*", "") + "".join(secrets) + after)
    assert MASK in shown
    assert not any(secret in shown for secret in secrets if "*" not in secret and len(secret) > len(MASK))
