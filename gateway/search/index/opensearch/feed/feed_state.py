"""How far an index follows each tenant's catalogue; it stands in the index itself, and is gone with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.errors import OpenSearchIncompleteError
from gateway.search.index.opensearch.client import PATIENCE_SECONDS, OpenSearchClient, url_path
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.opensearch.failures import failure_of_item
from gateway.search.index.opensearch.feed.bulk_writer import BulkOperation

_FROM_THE_START = "0"
_NEVER_READ = -1
_PAGE = 5_000
_NOT_THERE = 503


@dataclass(frozen=True, slots=True)
class FeedState:
    """All that was visible at the catalogue's `version` is written, and what changed later is found from the
    transaction `horizon` on.

    Where what changed since is being written, it will be at `next_version`, and the tools up to `after` are done.
    """

    version: int = _NEVER_READ
    horizon: str = _FROM_THE_START
    after: int = 0
    next_version: int = _NEVER_READ
    next_horizon: str = _FROM_THE_START

    @property
    def is_under_way(self) -> bool:
        """Whether changes were being written when it was kept."""
        return self.next_version != _NEVER_READ

    def begin(self, version: int, horizon: str) -> FeedState:
        """It, with what was visible at this moment to be written next; what is under way goes on as it was begun."""
        if self.is_under_way:
            return self
        return FeedState(self.version, self.horizon, 0, version, horizon)

    def done(self) -> FeedState:
        """It, once all of that is written."""
        return FeedState(self.next_version, self.next_horizon)

    def operation(self, installation: str, tenant_id: int, version: int) -> BulkOperation:
        """What keeps it; `version` is the catalogue's at this moment."""
        body = {"feed_tenant": tenant_key(installation, tenant_id), "feed": {"tenant": tenant_id, **asdict(self)}}
        return BulkOperation(_document_id(tenant_id), str(tenant_id), version, body)


def version_body(tenant: str) -> Mapping[str, Any]:
    """The search for how far the catalogue of the tenant with this `tenant_key` is followed."""
    return {"size": 1, "track_total_hits": False, "query": {"term": {"feed_tenant": tenant}}, "_source": ["feed"]}


def read_version(answer: Mapping[str, Any]) -> int:
    """The version of the catalogue up to which all is written."""
    hits = answer["hits"]["hits"]
    return int(hits[0]["_source"]["feed"]["version"]) if hits else _NEVER_READ


async def refresh(client: OpenSearchClient, index: str) -> None:
    """Make searchable what was written. Raises OpenSearchIncompleteError where a shard is not there, for which the
    cluster would wait a minute."""
    # For an index that was deleted a moment ago the cluster would wait, too.
    health = await client.request("GET", url_path("_cluster", "health", index), params={"timeout": "0s"})
    if health["status"] == "red":
        raise OpenSearchIncompleteError(
            f"Shards of {index} are not there",
            "see GET /_cluster/allocation/explain in the cluster; modelgate index rebuild makes a new index",
        )
    await client.request("POST", url_path(index, "_refresh"))


async def read_states(client: OpenSearchClient, index: str) -> dict[int, FeedState]:
    """The states that an index holds, by tenant."""
    await refresh(client, index)
    states: dict[int, FeedState] = {}
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {
            "size": _PAGE,
            "query": {"exists": {"field": "feed_tenant"}},
            "sort": [{"feed_tenant": "asc"}],
        }
        if after is not None:
            body["search_after"] = after
        (answer,) = await client.search_each(index, [body], seconds=PATIENCE_SECONDS)
        hits = answer["hits"]["hits"]
        states |= {hit["_source"]["feed"]["tenant"]: _state(hit["_source"]) for hit in hits}
        if len(hits) < _PAGE:
            return states
        after = hits[-1]["sort"]


async def read_state(client: OpenSearchClient, index: str, tenant_id: int) -> FeedState:
    """The state of one tenant, for which no shard but its own has to be there."""
    wanted = {"docs": [{"_id": _document_id(tenant_id), "routing": str(tenant_id)}]}
    answer = await client.request("POST", url_path(index, "_mget"), wanted)
    (document,) = answer["docs"]
    if "error" in document:
        raise failure_of_item(_NOT_THERE, document["error"], f"a read of {index}")
    return _state(document["_source"]) if document["found"] else FeedState()


def _document_id(tenant_id: int) -> str:
    return f"feed-{tenant_id}"


def _state(source: Mapping[str, Any]) -> FeedState:
    return FeedState(**{name: value for name, value in source["feed"].items() if name != "tenant"})
