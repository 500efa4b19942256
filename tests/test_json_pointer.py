"""JSON pointers, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.json_pointer import join_pointer, split_pointer


def test_the_examples_of_the_standard() -> None:
    assert join_pointer("", "foo", 0) == "/foo/0"
    assert join_pointer("", "") == "/"
    assert join_pointer("/x", "a/b", "m~n", "~1") == "/x/a~1b/m~0n/~01"
    assert split_pointer("") == []


@given(st.lists(st.text()))
def test_every_step_comes_back(steps: list[str]) -> None:
    assert split_pointer(join_pointer("", *steps)) == steps


@pytest.mark.parametrize("text", ["password", "/a~2b", "/a~"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON pointer"):
        split_pointer(text)
