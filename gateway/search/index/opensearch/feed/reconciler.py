"""Compares a tenant's documents with its catalogue, by counts and checksums, and mends what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.index.opensearch.client import PATIENCE_SECONDS, OpenSearchClient
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.feed.tenant_feed import TenantFeed
from gateway.search.index.opensearch.mapping import BUCKETS

_PAGE = 10_000
MAX_MENDED = 50_000
"""So many documents of either kind are mended at once."""


class Reconciler:
    """Of one index. Every method raises DatabaseError and OpenSearchError.

    What it reads has to be searchable: whoever has written refreshes the index before.
    """

    def __init__(
        self,
        database: Database,
        client: OpenSearchClient,
        installation: str,
        space: StoredSpace,
        index: str,
        feed: TenantFeed,
    ) -> None:
        self._database = database
        self._client = client
        self._installation = installation
        self._space = space
        self._index = index
        self._feed = feed

    async def count(self, tenant_id: int) -> tuple[int, int]:
        """How many documents a tenant has, and how many it is to have."""
        (answer,) = await self._search(tenant_id, {"size": 0, "track_total_hits": True})
        wanted: int = await self._database.fetchval("feed_documents", tenant_id)
        return answer["hits"]["total"]["value"], wanted

    async def mend(self, tenant_id: int) -> int:
        """Write what is missing or another one, and take out what should not be there; returns how many those were."""
        differing = await self._differing_buckets(tenant_id)
        if not differing:
            self._feed.refusals.pop(tenant_id, None)
            return 0
        rows = await self._database.fetch("feed_bucket_tools", tenant_id, BUCKETS, differing, space=self._space.id)
        wanted = {row["id"]: row["checksum"] for row in rows}
        there = await self._checksums(tenant_id, differing)
        stale = [tool_id for tool_id, checksum in wanted.items() if there.get(tool_id) != checksum]
        extra = [tool_id for tool_id in there if tool_id not in wanted]
        # The rest comes with the next look.
        await self._feed.write(tenant_id, stale[:MAX_MENDED], extra[:MAX_MENDED])
        return len(stale) + len(extra)

    async def _differing_buckets(self, tenant_id: int) -> list[int]:
        body = {
            "size": 0,
            "aggs": {
                "buckets": {
                    "terms": {"field": "bucket", "size": BUCKETS},
                    "aggs": {"checksum": {"sum": {"field": "checksum"}}},
                }
            },
        }
        (answer,) = await self._search(tenant_id, body)
        there = {
            bucket["key"]: (bucket["doc_count"], int(bucket["checksum"]["value"]))
            for bucket in answer["aggregations"]["buckets"]["buckets"]
        }
        rows = await self._database.fetch("feed_buckets", tenant_id, BUCKETS, space=self._space.id)
        wanted = {row["bucket"]: (row["documents"], row["checksum"]) for row in rows}
        return [bucket for bucket in range(BUCKETS) if there.get(bucket) != wanted.get(bucket)]

    async def _checksums(self, tenant_id: int, buckets: Sequence[int]) -> dict[int, int]:
        """The checksum of each document in these parts, by tool."""
        found: dict[int, int] = {}
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {
                "size": _PAGE,
                "_source": False,
                "stored_fields": "_none_",
                "docvalue_fields": ["tool", "checksum"],
                "sort": [{"tool": "asc"}],
            }
            if after is not None:
                body["search_after"] = after
            (answer,) = await self._search(tenant_id, body, {"terms": {"bucket": [*buckets]}})
            hits = answer["hits"]["hits"]
            found |= {hit["fields"]["tool"][0]: hit["fields"]["checksum"][0] for hit in hits}
            if len(hits) < _PAGE:
                return found
            after = hits[-1]["sort"]

    async def _search(self, tenant_id: int, body: dict[str, Any], *more: dict[str, Any]) -> Any:
        clauses = [{"term": {"tenant": tenant_key(self._installation, tenant_id)}}, *more]
        body = {**body, "query": {"bool": {"filter": clauses}}}
        routing = str(tenant_id)
        return await self._client.search_each(self._index, [body], routing=routing, seconds=PATIENCE_SECONDS)
