"""What the cluster holds of the catalogue, for those who run the gateway: each index, and how far it is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import SpaceStore, StoredSpace
from gateway.errors import ConflictError, NotFoundError, OpenSearchError, OpenSearchUnavailableError
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.feed.feed_report import FeedReport, FeedReports
from gateway.search.index.opensearch.feed.feed_state import FeedState, read_states
from gateway.search.index.opensearch.index_store import ClusterIndex, IndexStore
from gateway.search.index.opensearch.installation import installation_id
from gateway.search.index.opensearch.mapping import index_pattern
from gateway.settings import Settings

IndexState = Literal["serving", "filling"]


@dataclass(frozen=True, slots=True)
class IndexCard:
    """An index in the cluster. `health` is the cluster's word for it: green, yellow or red; `bytes` of all its copies.

    It has `documents` of the `tools` that it is to have. `changes_behind` counts the tools of `tenants_behind` that
    have changed, or their vectors have, since it was written to. `failure` says why these cannot be told, which are 0
    then; else it is empty.
    """

    name: str
    space: int
    model: str
    state: IndexState
    health: str
    documents: int
    tools: int
    changes_behind: int
    tenants_behind: int
    bytes: int
    failure: str

    @property
    def progress(self) -> float:
        """The share of its documents that is there, 0 to 1."""
        return min(1.0, self.documents / self.tools) if self.tools else 1.0


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster's version and the gateway's indexes in it; `failure` says why that cannot be told, else is empty, and
    `failure_code` is the code of that error.

    `feed` is what the process that writes to it said last, None where there never was one.
    """

    urls: tuple[str, ...]
    version: str
    indexes: tuple[IndexCard, ...]
    failure: str
    failure_code: str
    feed: FeedReport | None


class IndexOverview:
    """Shows the indexes, and has them built anew or dropped."""

    def __init__(self, database: Database, client: OpenSearchClient, *, view_seconds: float = 10.0) -> None:
        """Whoever looks waits no longer than `view_seconds` for the cluster."""
        self._view_seconds = view_seconds
        self._database = database
        self._client = client
        self._spaces = SpaceStore(database)
        self._reports = FeedReports(database)

    async def view(self) -> ClusterView:
        """All there is to say. A cluster that cannot be asked is a part of the answer."""
        urls = self._client.settings.urls
        feed = await self._reports.latest()
        try:
            with anyio.fail_after(self._view_seconds):
                version = await self._client.verify()
                indexes = await (await self._store()).indexes()
                return ClusterView(urls, version, tuple(await self._cards(indexes)), "", "", feed)
        except OpenSearchError as error:
            failure = error
        except TimeoutError:
            failure = OpenSearchUnavailableError(
                f"OpenSearch did not say within {self._view_seconds:g} s what it holds", "look at the load of its nodes"
            )
        return ClusterView(urls, "", (), failure.message, failure.error_code, feed)

    async def rebuild(self, space_id: int | None) -> StoredSpace:
        """Have a new index filled beside the one that serves in a space, None for that of all searches.

        Raises NotFoundError for a space that is not there, ConflictError for one in which nothing is searched, and
        OpenSearchError.
        """
        records = await self._spaces.records()
        chosen = next((each for each in records if each.active and space_id in (None, each.stored.id)), None)
        chosen = chosen or next((each for each in records if each.stored.id == space_id), None)
        if chosen is None:
            which = "No space serves yet" if space_id is None else f"There is no space {space_id}"
            raise NotFoundError(f"{which}; modelgate embeddings status lists them.")
        if not chosen.is_searched:
            raise ConflictError(
                f"No searches are answered in space {chosen.stored.id}, so that it has no index in the cluster; let it "
                f"serve, or share the searches, with modelgate embeddings switch {chosen.stored.id}."
            )
        await self._client.verify()
        await (await self._store()).begin(chosen.stored, beside_serving=True)
        return chosen.stored

    async def drop(self, name: str | None) -> list[str]:
        """Delete the index of that name, None for all of this gateway's; the names of those that were there.

        Raises NotFoundError for one that is not this gateway's, and OpenSearchError.
        """
        await self._client.verify()
        store = await self._store()
        own = [each.name for each in await store.indexes()]
        if name is not None and name not in own:
            raise NotFoundError(
                f"The cluster has no index {name[:200]} of this gateway; modelgate index status lists them."
            )
        chosen = own if name is None else [name]
        for each in chosen:
            await store.drop(each)
        return chosen

    async def _store(self) -> IndexStore:
        return IndexStore(self._database, self._client, await installation_id(self._database))

    async def _cards(self, indexes: Sequence[ClusterIndex]) -> list[IndexCard]:
        if not indexes:
            return []
        spaces = {record.stored.id: record.stored for record in await self._spaces.records()}
        facts = await self._facts()
        versions = {row["id"]: row["catalogue_version"] for row in await self._database.fetch("feed_tenants")}
        tools: int = await self._database.fetchval("feed_all_documents")
        cards = []
        for index in sorted(indexes, key=lambda each: (not each.is_serving, each.name)):
            space = spaces.get(index.owner.space_id)
            documents = changes = tenants = 0
            failure = ""
            try:
                index.check_open()
                states = await read_states(self._client, index.name)
                changes, tenants = await self._behind(index.owner.space_id, states, versions)
                documents = await self._documents(index.name)
            except OpenSearchError as error:
                # One that lacks a shard, or is closed, is there to be seen all the same.
                failure = error.message
            fact = facts.get(index.name, {})
            cards.append(
                IndexCard(
                    index.name,
                    index.owner.space_id,
                    space.space.model if space is not None else "",
                    "serving" if index.is_serving else "filling",
                    str(fact.get("health", "unknown")),
                    documents,
                    tools,
                    changes,
                    tenants,
                    int(fact.get("store.size") or 0),
                    failure,
                )
            )
        return cards

    async def _facts(self) -> dict[str, Mapping[str, Any]]:
        """By the name of an index its health and its size in bytes."""
        listed = await self._client.request(
            "GET",
            url_path("_cat", "indices", index_pattern(self._client.settings)),
            params={"format": "json", "bytes": "b", "h": "index,health,store.size", "expand_wildcards": "open,closed"},
        )
        return {str(each["index"]): each for each in listed}

    async def _documents(self, index: str) -> int:
        body = {"query": {"exists": {"field": "tool"}}}
        answer = await self._client.request("POST", url_path(index, "_count"), body)
        return int(answer["count"])

    async def _behind(
        self, space_id: int, states: Mapping[int, FeedState], versions: Mapping[int, int]
    ) -> tuple[int, int]:
        """How many changed tools are not written yet, and of how many tenants."""
        behind = {
            tenant_id: states.get(tenant_id, FeedState())
            for tenant_id, version in versions.items()
            if states.get(tenant_id, FeedState()).version != version
        }
        if not behind:
            return 0, 0
        changes: int = await self._database.fetchval(
            "feed_changes", list(behind), [state.horizon for state in behind.values()], space=space_id
        )
        return changes, len(behind)


@asynccontextmanager
async def open_overview(
    database: Database, settings: Settings, *, also_left: bool = False
) -> AsyncIterator[IndexOverview]:
    """The overview for a command, with a client of its own until the block ends; `also_left`: of a cluster, too, that
    searches have left.

    Raises ConflictError where searches do not run in a cluster, and SettingsError for a cluster that cannot be meant.
    """
    if not also_left and settings.search.index != "opensearch":
        raise ConflictError(
            f'Searches run elsewhere (search.index is "{settings.search.index}"), so that there is no index in a '
            'cluster; set it to "opensearch" first.'
        )
    client = OpenSearchClient(settings.opensearch)
    try:
        yield IndexOverview(database, client)
    finally:
        await client.aclose()
