"""What a program asks to have embedded, in OpenAI's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from gateway.errors import InvalidInputError
from gateway.json_codec import decode

MAX_INPUTS = 256

InputType = Literal["query", "document"]
EncodingFormat = Literal["float", "base64"]


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """`texts`, 1 to 256, to be embedded as what is asked or as what is searched for. `dimensions` None: as many as the
    model gives.
    """

    model: str
    texts: tuple[str, ...]
    input_type: InputType
    encoding_format: EncodingFormat
    dimensions: int | None


def parse_embeddings_request(body: bytes) -> EmbeddingsRequest:
    """The request that a body says. Raises InvalidInputError; members that are not known are left alone."""
    try:
        said = decode(body)
    except ValueError:
        raise InvalidInputError("The body is not valid JSON.") from None
    if not isinstance(said, dict):
        raise InvalidInputError("The body has to be a JSON object with model and input.")
    model = said.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidInputError("model has to be the name of a model; GET /v1/models lists them.", "model")
    dimensions = said.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise InvalidInputError("dimensions has to be a whole number of at least 1.", "dimensions")
    return EmbeddingsRequest(
        model=model,
        texts=_texts(said.get("input")),
        input_type=cast(InputType, _one_of(said, "input_type", ("document", "query"))),
        encoding_format=cast(EncodingFormat, _one_of(said, "encoding_format", ("float", "base64"))),
        dimensions=dimensions,
    )


def _texts(given: Any) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidInputError("input has to be a text or a list of texts; lists of tokens are not taken.", "input")
    if len(texts) > MAX_INPUTS:
        raise InvalidInputError(f"input may have {MAX_INPUTS} texts, and has {len(texts)}; ask in parts.", "input")
    return tuple(texts)


def _one_of(said: dict[str, Any], name: str, values: tuple[str, ...]) -> str:
    """The value of a member that may be left out or null, and is the first of `values` then."""
    value = said.get(name)
    if value is None:
        return values[0]
    if value not in values:
        raise InvalidInputError(f"{name} has to be {' or '.join(values)}.", name)
    return str(value)
