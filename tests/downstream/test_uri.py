"""Addresses of resources, qualified by server and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.uri import parse_qualified_uri, qualify_uri, template_space, uri_scheme, uri_space

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


@pytest.mark.parametrize(
    ("uri", "space"),
    [
        ("https://Example.com/a/b", "https://example.com"),
        ("file:///a.txt", "file://"),
        ("note:one", "note:"),
        ("NOTE://Shelf/one", "note://shelf"),
        ("plain", "plain:"),
    ],
)
def test_the_namespace_of_an_address_is_scheme_and_authority(uri: str, space: str) -> None:
    assert uri_space(uri) == space


@pytest.mark.parametrize(
    ("template", "space"),
    [
        ("https://example.com/{id}", "https://example.com"),
        ("file:///{path}", "file://"),
        ("note:page-{id}", "note:"),
        ("note:one", "note:"),
        *(
            (template, None)
            for template in ("{+any}", "{scheme}://a/{id}", "note{+any}", "note:{+any}", "note:/{+any}")
        ),
        *(
            (template, None)
            for template in ("note:/{+any}", "note://{host}/{id}", "note://a{+any}", "https://example.com{+any}")
        ),
    ],
)
def test_a_template_has_a_namespace_where_its_expressions_cannot_leave_it(template: str, space: str | None) -> None:
    assert template_space(template) == space
