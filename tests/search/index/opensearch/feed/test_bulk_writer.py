"""What is written, in the order of versions and not of arrival."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.embedding.embedder import EmbeddingSpace
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import OpenSearchDiskFullError, OpenSearchIndexMissingError, OpenSearchMappingError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import ToolDocument
from gateway.search.index.opensearch.feed import bulk_writer
from gateway.search.index.opensearch.feed.bulk_writer import BulkOperation, BulkResult, BulkWriter
from gateway.search.index.opensearch.mapping import IndexOwner, index_body, index_name

SPACE = StoredSpace(7, EmbeddingSpace("test", "four numbers", 4, "", ""))
OWNER = IndexOwner("an installation", SPACE.id)


@pytest.fixture
async def index(client: OpenSearchClient) -> str:
    name = index_name(client.settings, SPACE.id, "1")
    await client.request("PUT", url_path(name), index_body(client.settings, OWNER, SPACE, name))
    return name


def _operation(name: str, version: int) -> BulkOperation:
    vector = np.array([0.5, 0, 0, 0], np.float32)
    document = ToolDocument("here/1", 1, 9, 3, "git", name, vector, {"cat": 2, "天気": 1}, 3, version, 5)
    return BulkOperation(document.id, "1", version, document.body())


def _removal(version: int) -> BulkOperation:
    return BulkOperation(_operation("", 1).id, "1", version, None)


async def _name(client: OpenSearchClient, index: str) -> str | None:
    await client.request("POST", url_path(index, "_refresh"))
    (answer,) = await client.search_each(index, [{"query": {"term": {"tool": 9}}}], routing="1")
    return next((hit["_source"]["name"] for hit in answer["hits"]["hits"]), None)


async def test_a_late_write_takes_no_newer_ones_place(client: OpenSearchClient, index: str) -> None:
    writer = BulkWriter(client, index)
    assert await writer.write([_operation("second", 2)]) == BulkResult(1)
    assert await writer.write([_operation("first", 1)]) == BulkResult(0)
    assert await _name(client, index) == "second"
    assert await writer.write([_operation("again", 2), _operation("third", 3)]) == BulkResult(2)
    assert await _name(client, index) == "third"


async def test_what_was_removed_does_not_come_back_by_a_late_write(client: OpenSearchClient, index: str) -> None:
    writer = BulkWriter(client, index)
    await writer.write([_operation("there", 2)])
    assert await writer.write([_removal(1)]) == BulkResult(0)
    assert await _name(client, index) == "there"
    assert await writer.write([_removal(3), _removal(4)]) == BulkResult(2)
    assert await writer.write([_operation("late", 2)]) == BulkResult(0)
    assert await _name(client, index) is None


async def test_an_index_that_was_deleted_does_not_come_into_being_by_a_write(
    client: OpenSearchClient, index: str
) -> None:
    await client.request("DELETE", url_path(index))
    with pytest.raises(OpenSearchIndexMissingError):
        await BulkWriter(client, index).write([_operation("there", 2)])
    with pytest.raises(OpenSearchIndexMissingError):
        await client.search_each(index, [{}], routing="1")


async def test_the_last_of_many_is_written_after_all_others(
    client: OpenSearchClient, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_writer, "_MAX_BYTES", 1)
    writer = BulkWriter(client, index)
    others = [BulkOperation(f"1-{number}", "1", 1, {"tool": number}) for number in range(5)]
    last = BulkOperation("feed-1", "1", 1, {"feed_tenant": "here/1"})

    async def ids() -> list[str]:
        await client.request("POST", url_path(index, "_refresh"))
        (answer,) = await client.search_each(index, [{}], routing="1")
        return sorted(hit["_id"] for hit in answer["hits"]["hits"])

    block = "index.blocks.read_only_allow_delete"
    write, requests = OpenSearchClient.request, 0

    async def request(client: OpenSearchClient, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal requests
        requests += path.endswith("/_bulk")
        if requests == 4:
            requests += 1
            await write(client, "PUT", url_path(index, "_settings"), {block: True})
        return await write(client, method, path, *args, **kwargs)

    # That all is written is not said where the disks were full before it was.
    with monkeypatch.context() as filling:
        filling.setattr(OpenSearchClient, "request", request)
        with pytest.raises(OpenSearchDiskFullError):
            await writer.write([*others, last])
    assert last.id not in await ids()
    await client.request("PUT", url_path(index, "_settings"), {block: None})
    assert await writer.write([*others, last]) == BulkResult(6)
    assert await ids() == [*(each.id for each in others), last.id]


async def test_what_is_laid_out_otherwise_is_refused_and_all_else_written(client: OpenSearchClient, index: str) -> None:
    other = BulkOperation("1-8", "1", 2, {"tool": "not a number"})
    result = await BulkWriter(client, index).write([other, _operation("there", 2)])
    assert result.written == 1
    assert isinstance(result.refusal, OpenSearchMappingError)
    assert "not laid out as the gateway does it" in result.refusal.message
    assert await _name(client, index) == "there"
