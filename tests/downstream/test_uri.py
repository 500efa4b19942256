"""Addresses of resources, qualified by server and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.uri import parse_qualified_uri, qualify_uri, uri_scheme

SLUGS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=20)


@given(SLUGS, st.text(min_size=1))
def test_a_qualified_address_leads_back_to_server_and_address(slug: str, uri: str) -> None:
    assert parse_qualified_uri(qualify_uri(slug, uri)) == (slug, uri)


def test_the_address_of_an_app_stays_one() -> None:
    assert qualify_uri("north", "ui://app/main.html").startswith("ui://")


def test_a_client_can_fill_in_a_qualified_template() -> None:
    assert "{id}" in qualify_uri("north", "item://{id}")


@pytest.mark.parametrize("uri", ["note://a", "modelgate://", "modelgate://north", "modelgate:///x", "ui://app/x", ""])
def test_any_other_address_is_not_qualified(uri: str) -> None:
    assert parse_qualified_uri(uri) is None


def test_the_scheme_is_what_stands_before_the_first_colon() -> None:
    assert [uri_scheme(uri) for uri in ("NOTE://a:b", "a", "")] == ["note", "a", ""]
