"""Of a list, an item that cannot be read costs itself; anything else that cannot be read is refused as before."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.message_decoder import PartialResult, UnreadableItem, decode_message

_DEEP = '{"a":' * 10_000 + "1" + "}" * 10_000
_LONG = "1" * 5_000


def reply(*items: str, before: str = "", after: str = "") -> str:
    return f'{{"jsonrpc":"2.0","id":7,"result":{{{before}"tools":[{",".join(items)}]{after}}}}}'


@pytest.mark.parametrize("bad", [_DEEP, f"[{_LONG}]", "[" * 300 + "]" * 300, "{]"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_other_items_of_a_list_are_read(bad: str, as_bytes: bool) -> None:
    text = reply('{"name":"a"}', f'{{"name":"b","inputSchema":{bad}}}', "5", '{"name":"}]\\"{é"}')
    message = decode_message(text.encode() if as_bytes else text)
    first, second, third, fourth = message["result"]["tools"]
    assert (message["id"], first, third, fourth) == (7, {"name": "a"}, 5, {"name": '}]"{é'})
    assert isinstance(second, UnreadableItem)
    assert second.name == "b"
    assert isinstance(message["result"], PartialResult)


def test_what_cannot_be_read_is_told_with_its_name_and_why() -> None:
    texts = (
        f'{{"inputSchema":{{"name":"x","a":{_DEEP}}},"name":"deep"}}',
        f'{{"name":"long","maximum":{_LONG}}}',
        f'{{"x":"name","maximum":{_LONG}}}',
    )
    items = decode_message(reply(*texts))["result"]["tools"]
    assert [(item.name, item.reason) for item in items] == [
        ("deep", "its definition is nested too deeply"),
        ("long", "it holds a number of thousands of digits"),
        ("", "it holds a number of thousands of digits"),
    ]


def test_an_item_that_is_not_utf8_costs_itself_alone() -> None:
    data = reply('{"name":"a"}', '{"name":"caf?","description":"?"}').encode().replace(b"?", b"\xe9")
    good, bad = decode_message(data)["result"]["tools"]
    assert good == {"name": "a"}
    assert bad == UnreadableItem("caf\ufffd", "it is not UTF-8")
    with pytest.raises(ValueError, match=r"."):
        decode_message(reply("{}", after=',"nextCursor":"?"').encode().replace(b"?", b"\xe9"))


def test_other_members_and_lists_of_the_result_stay() -> None:
    message = decode_message(reply(f'{{"a":{_LONG}}}', before='"other":[{"b":[1]}],', after=',"nextCursor":"x"'))
    assert message["result"]["other"] == [{"b": [1]}]
    assert message["result"]["nextCursor"] == "x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"id":1,"result":{"tools":[{}]',
        f'{{"id":1,"result":{{"a":{_LONG}}}}}',
        f'{{"id":1,"result":{{"a":{_DEEP}}}}}',
        f'{{"id":1,"params":{{"a":[{{"b":{_LONG}}}]}}}}',
        f'[{{"result":{{"a":[{{"b":{_LONG}}}]}}}}]',
        "]]]",
        '{"result":{"tools":[{"a":"',
        '{"result":{"tools":[{"a":"\\',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_message(text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_can_be_read_is_read_as_ever(value: Any) -> None:
    assert decode_message(json.dumps(value)) == value


@given(st.text(st.sampled_from('{}[]",\\:a1')))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        decode_message(text)
