"""Writes many documents with one request; a write that comes late never takes the place of a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.backoff import Backoff
from gateway.errors import OpenSearchBusyError, OpenSearchError, OpenSearchMappingError
from gateway.search.index.opensearch.client import LINES, OpenSearchClient, url_path
from gateway.search.index.opensearch.failures import failure_of_item
from gateway.search.index.opensearch.mapping import write_alias

# OpenSearch is said to do best with requests of a few megabytes.
_MAX_BYTES = 2 * 2**20
# A shard takes each of them on a thread of its own.
_AT_ONCE = 2
_SECONDS = 60.0
# What goes to a shard that is not there fails after that; the cluster would wait a minute for it.
_SHARD_WAIT = "2s"
_TRIES = 6
_BACKOFF = Backoff(0.2, 5.0)
_BUSY = 429
# Of what is wrong with one document, other documents are written all the same.
_OF_A_DOCUMENT = (OpenSearchError, OpenSearchMappingError)
# A vector's float32 is written with the digits that it has, not with those of the double that is next to it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """What is to be written under `id`, or that it is to go, where `body` is None.

    `version` is the catalogue's that it was read at: what the cluster holds of a newer one stays. `routing` is the
    tenant.
    """

    id: str
    routing: str
    version: int
    body: dict[str, Any] | None

    def lines(self, index: str) -> bytes:
        """As a bulk request has it."""
        meta = {
            "_index": index,
            "_id": self.id,
            "routing": self.routing,
            "version": self.version,
            "version_type": "external_gte",
        }
        if self.body is None:
            return orjson.dumps({"delete": meta}) + b"\n"
        return orjson.dumps({"index": meta}) + b"\n" + orjson.dumps(self.body, option=_OPTIONS) + b"\n"


@dataclass(frozen=True, slots=True)
class BulkResult:
    """How many operations were carried out; `refusal` is why the cluster takes one of the others never, None where it
    takes all. What was left had been written by somebody since."""

    written: int
    refusal: OpenSearchError | None = None

    def and_then(self, other: BulkResult) -> BulkResult:
        """Both together."""
        return BulkResult(self.written + other.written, self.refusal or other.refusal)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """An operation, and its lines."""

    operation: BulkOperation
    lines: bytes


class BulkWriter:
    """Writes into one index. What the cluster is too busy for is written again after a while, a few times."""

    def __init__(self, client: OpenSearchClient, index: str) -> None:
        self._client = client
        # By an alias: else an index that was deleted came into being again, laid out as the cluster guesses.
        self._index = write_alias(index)

    async def write(self, operations: Sequence[BulkOperation]) -> BulkResult:
        """Write all of them, the last one after all others.

        Raises OpenSearchError where the cluster does not write, as it does while its disks are full; some may be
        written then, but for the last one.
        """
        *requests, last = await asyncio.to_thread(self._requests, operations)
        turn = asyncio.Semaphore(_AT_ONCE)

        async def send(request: Sequence[_Encoded]) -> BulkResult:
            async with turn:
                return await self._write(request)

        outcomes = await asyncio.gather(*(send(request) for request in requests), return_exceptions=True)
        result = BulkResult(0)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            result = result.and_then(outcome)
        return result.and_then(await self._write(last))

    def _requests(self, operations: Sequence[BulkOperation]) -> list[list[_Encoded]]:
        """What is sent in any order, and the last operation, which is sent then."""
        requests: list[list[_Encoded]] = []
        size = _MAX_BYTES
        for operation in operations[:-1]:
            encoded = _Encoded(operation, operation.lines(self._index))
            if size + len(encoded.lines) > _MAX_BYTES:
                requests.append([])
                size = 0
            requests[-1].append(encoded)
            size += len(encoded.lines)
        return [*requests, [_Encoded(operation, operation.lines(self._index)) for operation in operations[-1:]]]

    async def _write(self, operations: Sequence[_Encoded]) -> BulkResult:
        result = BulkResult(0)
        if not operations:
            return result
        for failures in range(1, _TRIES + 1):
            busy: list[_Encoded] = []
            try:
                result = result.and_then(await self._try(operations, busy))
            except OpenSearchBusyError:
                busy = list(operations)
                if failures == _TRIES:
                    raise
            if not busy:
                break
            if failures == _TRIES:
                raise OpenSearchBusyError(
                    f"OpenSearch had too much to do to write {len(busy)} documents into {self._index}",
                    "add nodes, or memory; it is tried again by itself",
                )
            await asyncio.sleep(_BACKOFF.delay(failures))
            operations = busy
        return result

    async def _try(self, operations: Sequence[_Encoded], busy: list[_Encoded]) -> BulkResult:
        """What became of them; what the cluster was too busy for is put into `busy`."""
        answer = await self._client.request(
            "POST",
            url_path(self._index, "_bulk"),
            b"".join(encoded.lines for encoded in operations),
            params={"require_alias": "true", "timeout": _SHARD_WAIT},
            seconds=_SECONDS,
            content_type=LINES,
        )
        written = 0
        failure: OpenSearchError | None = None
        refusal: OpenSearchError | None = None
        for encoded, item in zip(operations, answer["items"], strict=True):
            (result,) = item.values()
            status = result["status"]
            if status < 300 or (status == 404 and encoded.operation.body is None and "error" not in result):
                written += 1
            elif status == _BUSY and "block" not in result["error"]["type"]:
                busy.append(encoded)
            elif result["error"]["type"] != "version_conflict_engine_exception":
                error = failure_of_item(status, result["error"], f"to write into {self._index}")
                if type(error) in _OF_A_DOCUMENT:
                    refusal = error
                else:
                    failure = error
        if failure is not None:
            raise failure
        return BulkResult(written, refusal)
