"""Messages as bytes: what is read and written beyond what a fast parser takes, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway.errors import TooDeepError
from gateway.json_codec import check_sendable, decode, encode


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "ü🦄"]}, "\ud83d", {"\udc00": 1}, "line\nbreak", 10**30])
def test_what_is_written_is_read_again(value: Any) -> None:
    written = encode(value)
    assert b"\n" not in written
    assert decode(written) == value


@pytest.mark.parametrize("data", [b"", b"{", b"{'a': 1}", b"\xff", b"[1] [2]", "\u00a0"])
def test_what_is_not_json_is_refused(data: bytes | str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(data)


@pytest.mark.parametrize("depth", [300, 5_000, 1_000_000])
@pytest.mark.parametrize("inside", ["1", '"\\ud83d"'])
def test_what_is_nested_too_deeply_is_refused(depth: int, inside: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        decode("[" * depth + inside + "]" * depth)


def test_what_is_nested_too_deeply_to_be_written_is_refused() -> None:
    assert decode(encode(nested(150))) == nested(150)
    with pytest.raises(TooDeepError, match="nested too deeply"):
        encode(nested(50_000))


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}, nested(300)])
def test_what_others_cannot_read_is_not_sent(value: Any) -> None:
    check_sendable([1.5, {"a": None}])
    with pytest.raises(ValueError, match=r"not finite|nested too deeply"):
        check_sendable(value)
