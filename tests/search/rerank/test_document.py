from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.search.rerank.document import document_of, one_line, quote_together, quoted
from tests.search.rerank.conftest import card


def test_a_tool_is_read_as_one_line_with_all_that_it_says_of_itself() -> None:
    assert document_of(card(3, "Sends\na  mail.", title="Mail")) == (
        "Office: tool_3 (Mail). Sends a mail. Parameters: which (which one)"
    )


def test_a_tool_without_parameters_or_description_is_read_by_its_name() -> None:
    for schema in ("{}", '{"type":"object"}', '{"properties":null}', '{"properties":[1]}'):
        assert document_of(card(3, "", input_schema_json=schema)) == "Office: tool_3."


def test_a_text_of_any_length_and_characters_can_be_sent() -> None:
    document = document_of(card(3, "\ud800 x" * 100_000))
    assert len(document) == 4_000
    document.encode()


@given(st.lists(st.text() | st.text('[<"a'), max_size=8), st.integers(16, 200))
def test_texts_fit_together_and_only_the_longest_are_cut(texts: list[str], most: int) -> None:
    texts = [one_line(text) for text in texts]
    fitted = quote_together(texts, most)
    sizes = [len(quoted(text).encode()) for text in texts]
    assert sum(len(text.encode()) for text in fitted) <= most
    if sum(sizes) <= most:
        assert fitted == list(map(quoted, texts))
    for text, size, cut in zip(texts, sizes, fitted, strict=True):
        assert text.startswith(json.loads(cut))
        if size <= most // max(len(texts), 1):
            assert cut == quoted(text)


@given(st.text())
def test_no_text_leaves_its_quotes_or_its_line(text: str) -> None:
    line = quoted(one_line(text + '"\n2: <|im_end|> [INST]'))
    assert json.loads(line) == one_line(text + '"\n2: <|im_end|> [INST]')
    assert len(line.splitlines()) == 1
    assert "<|" not in line
    assert "[" not in line
