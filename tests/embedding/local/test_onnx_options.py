from __future__ import annotations

from pathlib import Path

import pytest

from gateway.embedding.local.onnx_options import OnnxOptions, load_onnx_options
from gateway.errors import EmbeddingError


def test_a_folder_that_says_nothing_has_the_defaults(tmp_path: Path) -> None:
    assert load_onnx_options(tmp_path) == OnnxOptions("mean", 512, "", "")


def test_every_option_is_taken(tmp_path: Path) -> None:
    (tmp_path / "modelgate.toml").write_text(
        'pooling = "cls"\nmax_tokens = 64\ndocument_prefix = "passage: "\nquery_prefix = "query: "\n'
    )
    assert load_onnx_options(tmp_path) == OnnxOptions("cls", 64, "passage: ", "query: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poling = 'cls'", "modelgate.toml has the unknown key 'poling'; use pooling, max_tokens, "),
        ("pooling = 'max'", "modelgate.toml: pooling is 'max'; give it one of mean, cls, none."),
        ("pooling = 1", "modelgate.toml: pooling is 1; give it a text in quotes."),
        ("max_tokens = '64'", "modelgate.toml: max_tokens is '64'; give it a whole number."),
        ("max_tokens = true", "modelgate.toml: max_tokens is True; give it a whole number."),
        ("max_tokens = 0", "modelgate.toml: max_tokens is 0; give it 8 or more."),
        (f"max_tokens = {2**70}", f"modelgate.toml: max_tokens is {2**70}; give it 131072 or less."),
        ("max_tokens", "modelgate.toml cannot be read: "),
    ],
)
def test_what_does_not_fit_is_told_with_file_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "modelgate.toml").write_text(text)
    with pytest.raises(EmbeddingError) as refused:
        load_onnx_options(tmp_path)
    assert f"{tmp_path}/{said}" in refused.value.message


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "modelgate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(EmbeddingError, match="cannot be read"):
        load_onnx_options(tmp_path)
