"""A sentence encoder as a folder: `model.onnx` with `tokenizer.json` and, where it needs saying, `modelgate.toml`."""

from __future__ import annotations

import bisect
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.embedding.embedder import EmbeddingSpace, Vectors
from gateway.embedding.local.local_embedder import LocalEmbedder
from gateway.embedding.local.onnx_options import OPTIONS_FILE, OnnxOptions, load_onnx_options
from gateway.embedding.vector_check import validate_vectors
from gateway.errors import EmbeddingError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

ONNX_PROVIDER = "onnx"
MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"

_INPUT_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# What exporters call the vector of the whole text where they give those of the tokens, too.
_WHOLE_TEXT_OUTPUT = "sentence_embedding"
# To the end of a word, or to where its case says that another one begins, as in `getUserById` or `HTTPServer`.
_WORD = re.compile(r"[^\W_]+?(?:(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?![^\W_]))")
_SENTENCE_ENCODER = "export it as a sentence encoder"


class OnnxModel:
    """A loaded model. `embed` may be called from several threads at once; each call takes one core.

    `space` says what its vectors are: the model's name there is the folder's with a mark of what is in it, so that
    another model in the same folder has a space of its own.
    """

    def __init__(
        self, session: InferenceSession, tokenizer: Tokenizer, options: OnnxOptions, name: str, build: str
    ) -> None:
        """`tokenizer` cuts and does not pad. Raises EmbeddingError where the model is no sentence encoder."""
        self._session = session
        self._tokenizer = tokenizer
        self._options = options
        self._name = name
        self._inputs = {given.name: _input_type(given.name, given.type) for given in session.get_inputs()}
        outputs = {given.name: len(given.shape) for given in session.get_outputs()}
        self._output = _WHOLE_TEXT_OUTPUT if _WHOLE_TEXT_OUTPUT in outputs else next(iter(outputs))
        _check_output(outputs[self._output], options)
        self._dimensions: int | None = None
        self._dimensions = self.embed(["a text"]).shape[1]
        self.space = EmbeddingSpace(
            ONNX_PROVIDER, name, self._dimensions, options.document_prefix, options.query_prefix, build
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of non-empty texts: float32, shape (len(texts), d), rows of length 1. Raises EmbeddingError."""
        # One at a time: a quantized model's vector depends on what shares its batch, padding costs a CPU more than a
        # batch gains, and the tokenizer would start threads for a batch, which a fork breaks.
        rows = [self._run(self._tokenizer.encode(text).ids) for text in texts]
        return validate_vectors(
            rows,
            count=len(texts),
            dimensions=self._dimensions,
            embedder="The onnx embedder",
            model=self._name,
        )

    def embed_query(self, text: str) -> Vectors:
        """The vector of a non-empty text, float32, shape (d,), of length 1. Raises EmbeddingError."""
        vector: Vectors = self.embed([text])[0]
        return vector

    def pieces_per_word(self, text: str, most: int = 4) -> float:
        """Into how many tokens a word of `text` falls on average, each counted as `most` at most; 1 without a word.

        Words are split at case and at whatever is no letter or digit.
        One and a little more in a language that the tokenizer was made for. An unknown one counts as `most`.
        """
        words = [word.span() for word in _WORD.finditer(text)]
        if not words:
            return 1.0
        ends = [end for _, end in words]
        pieces = [0] * len(words)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        for (start, end), token in zip(encoding.offsets, encoding.tokens, strict=True):
            place = bisect.bisect_right(ends, start)
            if place < len(words) and words[place][0] < end:
                pieces[place] += most if token == unknown else 1
        # What is beyond the tokens that the model reads has none.
        read = [min(count, most) for count in pieces if count]
        return sum(read) / len(read) if read else 1.0

    def reads_whole(self, text: str) -> bool:
        """Whether `text` has no more tokens than the model reads."""
        # A token is at least one character.
        return len(text) < self._options.max_tokens // 2 or not self._tokenizer.encode(text).overflowing

    def _run(self, token_ids: Sequence[int]) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
        ids = np.array([token_ids])
        values = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        given = {name: values[name].astype(dtype) for name, dtype in self._inputs.items()}
        try:
            output: np.ndarray[Any, np.dtype[np.floating[Any]]] = self._session.run([self._output], given)[0]
        except Exception as error:
            # The runtime's errors share no class, and say which of the model's nodes failed.
            raise EmbeddingError(
                f"The model {self._name} gives no vector for a text of {len(token_ids)} tokens",
                f"lower max_tokens in its {OPTIONS_FILE}, or export the model again",
            ) from error
        if output.ndim == 3:
            output = output[:, 0] if self._options.pooling == "cls" else output.mean(axis=1, dtype=np.float32)
        vector: np.ndarray[Any, np.dtype[np.floating[Any]]] = output[0]
        return vector


class OnnxEmbedder(LocalEmbedder):
    """Embeds with the model of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: load_onnx_model(folder), ONNX_PROVIDER, folder.name)


def load_onnx_model(folder: Path) -> OnnxModel:
    """Reads the model of `folder`. Raises EmbeddingError that names the file and what is wrong with it."""
    for file in (MODEL_FILE, TOKENIZER_FILE):
        if not (folder / file).is_file():
            raise EmbeddingError(f"There is no {file} in {folder}", "put an exported model there, or set embedder.path")
    options = load_onnx_options(folder)
    tokenizer = _load_tokenizer(folder / TOKENIZER_FILE, options.max_tokens)
    session = _open_session(folder / MODEL_FILE)
    build = _fingerprint(folder)
    return OnnxModel(session, tokenizer, options, f"{folder.name}@{build[:12]}", build)


def _load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        # It raises Exception itself for all that it cannot read.
        raise EmbeddingError(f"{path} is damaged or no tokenizer", "export the tokenizer again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _open_session(path: Path) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise EmbeddingError(
            f"onnxruntime does not load: {error}", "run `pip install --force-reinstall onnxruntime`"
        ) from error
    settings = onnxruntime.SessionOptions()
    # The arena keeps the largest memory that a text ever took: twice of what the model is large.
    settings.enable_cpu_mem_arena = False
    # A run is on the thread that asks for it, and there is none that a fork could lose.
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    # What goes wrong comes as an exception; the runtime would write it to stderr as well.
    settings.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The runtime's errors share no class.
        raise EmbeddingError(f"{path} is damaged or no ONNX model", "export the model again") from error


def _input_type(name: str, type_name: str) -> type[np.signedinteger[Any]]:
    if name not in _INPUTS:
        raise EmbeddingError(
            f"The model wants the input {name!r}, which is none of {', '.join(_INPUTS)}", _SENTENCE_ENCODER
        )
    if type_name not in _INPUT_TYPES:
        raise EmbeddingError(f"The model wants the input {name!r} as {type_name}, not as integers", _SENTENCE_ENCODER)
    return _INPUT_TYPES[type_name]


def _check_output(rank: int, options: OnnxOptions) -> None:
    if rank not in (2, 3):
        raise EmbeddingError(
            f"The model's output has {rank} dimensions, not 2 (texts) or 3 (tokens)", _SENTENCE_ENCODER
        )
    if rank == 3 and options.pooling == "none":
        raise EmbeddingError(
            f'The model gives a vector for each token, and {OPTIONS_FILE} says pooling = "none"',
            'say "mean" or "cls" there',
        )


def _fingerprint(folder: Path) -> str:
    """64 hex digits (SHA-256) of all that decides what the vectors are, weights beside the model's file included."""
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob(f"{MODEL_FILE}*")), folder / TOKENIZER_FILE, folder / OPTIONS_FILE]:
        if path.is_file():
            with path.open("rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
    return digest.hexdigest()
