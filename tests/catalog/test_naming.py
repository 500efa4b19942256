"""Slugs and exposed names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.naming import make_exposed_name, slugify


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Local MCP", "local_mcp"),
        ("GitHub", "github"),
        ("  a -- b  ", "a_b"),
        ("Café Zürich", "cafe_zurich"),
        ("x" * 80, "x" * 32),
    ],
)
def test_a_slug_is_plain(name: str, slug: str) -> None:
    assert slugify(name) == slug


def test_a_name_without_a_plain_letter_still_has_a_slug() -> None:
    assert re.fullmatch(r"server_[0-9a-f]{6}", slugify("日本語"))
    assert slugify("日本語") != slugify("中文")


@pytest.mark.parametrize("tool", ["calculator", "getWeather", "with__two", "dash-ed", "UPPER"])
def test_a_name_that_fits_is_kept(tool: str) -> None:
    assert make_exposed_name("local_mcp", tool, ()) == f"local_mcp__{tool}"


def test_what_clients_do_not_take_becomes_an_underscore() -> None:
    assert make_exposed_name("s", "files.read/now", ()) == "s__files_read_now"


def test_names_that_would_be_the_same_end_in_a_hash() -> None:
    first = make_exposed_name("s", "a.b", ())
    second = make_exposed_name("s", "a/b", {first})
    assert first == "s__a_b"
    assert re.fullmatch(r"s__a_b_[0-9a-f]{6}", second)


def test_a_long_name_is_cut_and_ends_in_a_hash() -> None:
    name = make_exposed_name("server", "x" * 100, ())
    assert len(name) == 64
    assert re.fullmatch(r"server__x+_[0-9a-f]{6}", name)
    assert name != make_exposed_name("server", "x" * 101, ())


@given(slug=st.from_regex(r"[a-z0-9][a-z0-9_]{0,31}", fullmatch=True), tools=st.lists(st.text(min_size=1), unique=True))
def test_whatever_the_tools_are_called_their_names_differ_and_fit(slug: str, tools: list[str]) -> None:
    taken: set[str] = set()
    for tool in tools:
        name = make_exposed_name(slug, tool.encode(errors="replace").decode(), taken)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
        assert name not in taken
        taken.add(name)
