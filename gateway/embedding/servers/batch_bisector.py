"""Finding out which text it is for which a request fails, so that it costs itself and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.embedding.embedder import Vectors
from gateway.embedding.servers.adaptive_batcher import AdaptiveBatcher
from gateway.embedding.servers.http_client import Purpose
from gateway.embedding.text_length import estimate_tokens, shorten_text
from gateway.errors import BadVectorError, EmbedderFailedError, EmbeddingError, ModelChangedError, TextRefusedError

_SHORTER_BY = 0.6
# What takes too long takes as long again with each try.
_SHORTER_AFTER_TIMEOUT = 0.3
_FLOOR_CHARACTERS = 48
# A query that is refused is asked in fewer words so often: somebody waits for it.
_QUERY_TRIES = 4
_HARMLESS = "a"
_NO_EMBEDDER = "check that embedder.model is an embedding model, and embedder.base_url the address of its server"


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The vector of a text, float32 of shape (d,); `is_cut` where it is that of its beginning, and `is_kept` where it
    was made for an equal text before.
    """

    vector: Vectors
    is_cut: bool = False
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class RefusedText:
    """A text that alone cannot be embedded, and why."""

    reason: str


TextOutcome: TypeAlias = EmbeddedText | RefusedText

ResponseRow: TypeAlias = Vectors | str
"""A vector, or what is wrong with what came in its place."""

SendTexts = Callable[[Sequence[str], Purpose], Awaitable[list[ResponseRow]]]
"""Asks the server for a row for each text. Raises EmbeddingError."""


class BatchBisector:
    """Embeds texts together and, where that fails for one of them, the others without it.

    A request that fails is halved until the text stands alone, which is then shortened step by step. Before, a harmless
    text is tried: an embedder that refuses that one, too, has something else.
    """

    def __init__(self, send: SendTexts, batcher: AdaptiveBatcher) -> None:
        """`batcher` learns the limits on a request that come to light."""
        self._send = send
        self._batcher = batcher

    async def embed_query(self, text: str) -> Vectors:
        """The vector of `text`, or of its beginning where it is refused whole: float32, shape (d,)."""
        sent = text
        for _ in range(_QUERY_TRIES):
            try:
                return _vector((await self._send([sent], "query"))[0])
            except TextRefusedError as error:
                refusal = error
                sent = shorten_text(sent, _SHORTER_BY)
        await self._require_health(refusal)
        raise refusal

    async def embed(self, texts: Sequence[str]) -> list[TextOutcome]:
        """The outcome of each of `texts`. Raises EmbeddingError where the embedder itself is at fault."""
        try:
            rows = await self._send(texts, "documents")
        except EmbeddingError as error:
            if not _may_be_the_texts(error):
                raise
            await self._require_health(error)
            return await self._halve(texts, error)
        if bad := next((row for row in rows if isinstance(row, str)), None):
            await self._require_health(_bad_vector(bad))
        return [await self._judge(text, row) for text, row in zip(texts, rows, strict=True)]

    async def _require_health(self, error: EmbeddingError) -> None:
        """Raises `error` where a text that can harm nobody fails as well."""
        try:
            rows = await self._send([_HARMLESS], "check")
        except TextRefusedError as refusal:
            raise EmbeddingError(refusal.detail, _NO_EMBEDDER) from None
        except EmbeddingError:
            raise error from None
        if isinstance(rows[0], str):
            raise error

    async def _halve(self, texts: Sequence[str], error: EmbeddingError) -> list[TextOutcome]:
        """The outcomes of texts for which a request together failed with `error`."""
        if len(texts) == 1:
            return [await self._shorten(texts[0], _reason(error), _share_left(error))]
        middle = len(texts) // 2
        outcomes: list[TextOutcome] = []
        failed = False
        for half in (texts[:middle], texts[middle:]):
            try:
                rows = await self._send(half, "isolation")
            except EmbeddingError as again:
                if not _may_be_the_texts(again):
                    raise
                failed = True
                outcomes += await self._halve(half, again)
            else:
                failed = failed or any(isinstance(row, str) for row in rows)
                outcomes += [await self._judge(text, row) for text, row in zip(half, rows, strict=True)]
        if not failed and isinstance(error, TextRefusedError):
            # No text was at fault: together they were too many.
            self._batcher.record_limit(len(texts), sum(map(estimate_tokens, texts)), error.reason)
        return outcomes

    async def _judge(self, text: str, row: ResponseRow) -> TextOutcome:
        if not isinstance(row, str):
            return EmbeddedText(row)
        # What is bad for once is bad for no text's fault.
        again = await self._try(text)
        return await self._shorten(text, row) if again is None else EmbeddedText(again)

    async def _try(self, text: str) -> Vectors | None:
        """The vector of `text`, None where it is refused. Raises EmbeddingError where the embedder is at fault."""
        try:
            row = (await self._send([text], "isolation"))[0]
        except EmbeddingError as error:
            if not _may_be_the_texts(error):
                raise
            return None
        return None if isinstance(row, str) else row

    async def _shorten(self, text: str, reason: str, share: float = _SHORTER_BY) -> TextOutcome:
        """The outcome of a text that failed alone, as `reason` says: each time `share` of it is tried."""
        shorter = text
        while len(shorter) > _FLOOR_CHARACTERS:
            shorter = shorten_text(shorter, share)
            if (vector := await self._try(shorter)) is not None:
                return EmbeddedText(vector, is_cut=True)
        # It may have gone down meanwhile, and then it is no text's fault.
        await self._require_health(EmbedderFailedError(reason, "look into that server's log, or try again later"))
        return RefusedText(reason)


def _may_be_the_texts(error: EmbeddingError) -> bool:
    if isinstance(error, ModelChangedError):
        return False
    return isinstance(error, (TextRefusedError, EmbedderFailedError, BadVectorError))


def _bad_vector(detail: str) -> BadVectorError:
    return BadVectorError(detail, "update that server or the model, or choose another embedder.model")


def _vector(row: ResponseRow) -> Vectors:
    if isinstance(row, str):
        raise _bad_vector(row)
    return row


def _share_left(error: EmbeddingError) -> float:
    timed_out = isinstance(error, EmbedderFailedError) and error.timed_out
    return _SHORTER_AFTER_TIMEOUT if timed_out else _SHORTER_BY


def _reason(error: EmbeddingError) -> str:
    return error.reason if isinstance(error, TextRefusedError) else error.detail
