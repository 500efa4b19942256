"""The ways in which an embedding server can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "status",
    "model_missing",
    "no_lists",
    "dimensions",
    "value",
    "zeros",
    "missing_vector",
    "ragged",
    "shuffled",
    "slow",
    "huge",
    "body",
    "answer",
    "cut",
]


TextFault = Literal["nan", "context", "eof", "zeros", "hang"]
"""What is wrong with one text, whatever it is embedded with: its vector has NaN in it, it is longer than the model's
context, the model's process dies of it, its vector is zeros, or it takes for ever."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with each embedding request; with `times`, only with so many of them."""

    kind: Kind
    times: int | None = None
    status: int = 500
    retry_after: str | None = None
    number: float = 0.0
    literal: str = ""

    @classmethod
    def failing(cls, status: int = 500, times: int | None = None, retry_after: str | None = None) -> Fault:
        """Answers with an error status and a JSON error."""
        return cls("status", times, status=status, retry_after=retry_after)

    @classmethod
    def rate_limited(cls, retry_after: str | None = "0", times: int | None = None) -> Fault:
        """Answers 429, with a Retry-After header unless that is None."""
        return cls("status", times, status=429, retry_after=retry_after)

    @classmethod
    def model_missing(cls) -> Fault:
        """Has no model at all: none is listed, and each request for one is 404."""
        return cls("model_missing")

    @classmethod
    def no_lists(cls) -> Fault:
        """An Ollama of before 0.3, with `/api/embeddings` and without `/api/embed`."""
        return cls("no_lists")

    @classmethod
    def dimensions(cls, count: int, times: int | None = None) -> Fault:
        """Vectors of `count` dimensions."""
        return cls("dimensions", times, number=count)

    @classmethod
    def value(cls, literal: str, times: int | None = None) -> Fault:
        """Each last vector has `literal` (NaN, null, 1e999) in place of its first number."""
        return cls("value", times, literal=literal)

    @classmethod
    def zeros(cls, times: int | None = None) -> Fault:
        """Vectors of zeros."""
        return cls("zeros", times)

    @classmethod
    def missing_vector(cls, times: int | None = None) -> Fault:
        """One vector fewer than there were texts."""
        return cls("missing_vector", times)

    @classmethod
    def ragged(cls, times: int | None = None) -> Fault:
        """The last vector is one number short."""
        return cls("ragged", times)

    @classmethod
    def shuffled(cls) -> Fault:
        """OpenAI's items in reverse order, each with its right index."""
        return cls("shuffled")

    @classmethod
    def slow(cls, seconds: float, times: int | None = None) -> Fault:
        """Answers after `seconds`, or as soon as the fault is taken back."""
        return cls("slow", times, number=seconds)

    @classmethod
    def huge(cls, size: int, times: int | None = None) -> Fault:
        """A body of at least `size` bytes."""
        return cls("huge", times, number=size)

    @classmethod
    def body(cls, text: str, times: int | None = None) -> Fault:
        """A success with `text` for its body."""
        return cls("body", times, literal=text)

    @classmethod
    def answering(cls, status: int, text: str, times: int | None = None) -> Fault:
        """`text` as it is, plain where it is no JSON."""
        return cls("answer", times, status=status, literal=text)

    @classmethod
    def cut(cls, times: int | None = None) -> Fault:
        """Closes the connection in the middle of its answer."""
        return cls("cut", times)
