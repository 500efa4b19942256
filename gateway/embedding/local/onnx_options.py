"""What `modelgate.toml` in a model's folder says of the model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gateway.errors import EmbeddingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPTIONS_FILE = "modelgate.toml"

_POOLINGS = ("mean", "cls", "none")
_KEYS = ("pooling", "max_tokens", "document_prefix", "query_prefix")
_MIN_TOKENS, _MAX_TOKENS = 8, 131_072


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """How texts go into a model, and vectors come out of it.

    `pooling` makes one vector of those of the tokens: their mean, the first (`cls`), or none where the model gives one
    vector a text. `max_tokens` is where texts are cut, special tokens included. The prefixes come before each text.
    """

    pooling: Literal["mean", "cls", "none"] = "mean"
    max_tokens: int = 512
    document_prefix: str = ""
    query_prefix: str = ""


def load_onnx_options(folder: Path) -> OnnxOptions:
    """What `folder` says, the defaults where it says nothing. Raises EmbeddingError that names file, key and value."""
    path = folder / OPTIONS_FILE
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return OnnxOptions()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EmbeddingError(f"{path} cannot be read: {error}", "mend it, or remove it for the defaults") from error
    for key, value in values.items():
        _check(path, key, value)
    return OnnxOptions(**values)


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _KEYS:
        raise EmbeddingError(f"{path} has the unknown key {key!r}", f"use {', '.join(_KEYS)}")
    if key == "max_tokens":
        # A truth value is an int to Python, and none to its reader.
        if not isinstance(value, int) or isinstance(value, bool):
            raise EmbeddingError(f"{path}: {key} is {value!r}", "give it a whole number")
        if value < _MIN_TOKENS:
            raise EmbeddingError(f"{path}: {key} is {value}", f"give it {_MIN_TOKENS} or more")
        if value > _MAX_TOKENS:
            raise EmbeddingError(f"{path}: {key} is {value}", f"give it {_MAX_TOKENS} or less")
    elif not isinstance(value, str):
        raise EmbeddingError(f"{path}: {key} is {value!r}", "give it a text in quotes")
    elif key == "pooling" and value not in _POOLINGS:
        raise EmbeddingError(f"{path}: {key} is {value!r}", f"give it one of {', '.join(_POOLINGS)}")
