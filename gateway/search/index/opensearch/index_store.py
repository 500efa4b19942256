"""The gateway's indexes in the cluster: which are there, which serve, and how one takes another's place."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.errors import (
    OpenSearchAliasError,
    OpenSearchIncompleteError,
    OpenSearchIndexMissingError,
    OpenSearchMappingError,
)
from gateway.search.index.opensearch.client import OpenSearchClient, url_path
from gateway.search.index.opensearch.installation import former_installation_ids
from gateway.search.index.opensearch.mapping import (
    MAPPING_VERSION,
    MAX_DIMENSIONS,
    REFRESH_INTERVAL,
    IndexOwner,
    index_body,
    index_name,
    index_pattern,
    is_own_alias,
    serving_alias,
    space_alias,
    write_alias,
)
from gateway.settings import OpenSearchSettings

# Whoever is at it is done by then, or has given up waiting for the cluster.
_BEGIN_SECONDS = 90.0
# Whoever writes says so ten times in this, and one of whom nothing is heard for so long is gone.
_SILENT_SECONDS = 300.0
# One that somebody has closed keeps its aliases.
_CLOSED_TOO = {"expand_wildcards": "open,closed"}


@dataclass(frozen=True, slots=True)
class ClusterIndex:
    """An index of this gateway's, `created` at these milliseconds since 1970. It serves when it is behind the alias of
    its space; before, it is being filled."""

    name: str
    owner: IndexOwner
    aliases: frozenset[str]
    is_serving: bool
    is_closed: bool = False
    created: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Higher than that of each index of the space that was begun before."""
        return self.owner.build, self.created

    def check_open(self) -> None:
        """Raises OpenSearchIncompleteError where somebody has closed it."""
        if self.is_closed:
            raise OpenSearchIncompleteError(
                f"Index {self.name} is closed", "open it again, or run modelgate index rebuild"
            )

    @property
    def is_copy(self) -> bool:
        """Whether it came into being under another name, as one that was restored from a snapshot: nobody writes it."""
        return write_alias(self.name) not in self.aliases


class IndexStore:
    """Every method raises OpenSearchError; OpenSearchAliasError where a name that it needs is somebody else's."""

    def __init__(self, database: Database, client: OpenSearchClient, installation: str) -> None:
        """`installation` is the id of the database whose catalogue the indexes hold."""
        self._database = database
        self._client = client
        self._installation = installation
        self._beats: dict[str, tuple[int, float]] = {}

    @property
    def _settings(self) -> OpenSearchSettings:
        return self._client.settings

    async def indexes(self) -> Sequence[ClusterIndex]:
        """All of this gateway's, those among them that somebody has closed."""
        return [index for index in await self._own_indexes() if not index.is_copy]

    async def settled_indexes(self) -> Sequence[ClusterIndex]:
        """The same, once each of the gateway's aliases leads to one of them and to no copy."""
        own = await self._own_indexes()
        actions = []
        for index in own:
            alias = space_alias(self._settings, index.owner.space_id)
            if index.is_copy:
                names = [name for name in sorted(index.aliases) if is_own_alias(self._settings, name)]
            else:
                names = [alias] if index.is_serving and index != serving_index(own, index.owner.space_id) else []
            actions += [{"remove": {"index": index.name, "alias": name}} for name in names]
        if not actions:
            return [index for index in own if not index.is_copy]
        await self._client.request("POST", "/_aliases", {"actions": actions})
        return await self.indexes()

    async def _own_indexes(self) -> Sequence[ClusterIndex]:
        """All that say of themselves that they are this gateway's."""
        found = await self._client.request("GET", url_path(index_pattern(self._settings)), params=_CLOSED_TOO)
        own = []
        for name, described in found.items():
            owner = IndexOwner.of(described["mappings"].get("_meta", {}))
            if owner is None or owner.installation != self._installation:
                continue
            aliases = frozenset(described["aliases"])
            settings = described["settings"]["index"]
            own.append(
                ClusterIndex(
                    name,
                    owner,
                    aliases,
                    # Else it is a copy.
                    is_serving={space_alias(self._settings, owner.space_id), write_alias(name)} <= aliases,
                    is_closed="verified_before_close" in settings,
                    created=int(settings["creation_date"]),
                )
            )
        return own

    async def begin(self, space: StoredSpace, *, beside_serving: bool = False) -> ClusterIndex:
        """The index to fill for a space: the one of this version that was begun, else, unless it is to be built
        `beside_serving`, the one that serves by now, else a new one. Of several processes that begin at once one does.

        Raises DatabaseError, too.
        """
        async with self._database.dedicated_connection(_BEGIN_SECONDS) as connection:
            await connection.execute("lock_index_build", space.id)
            indexes = await self.indexes()
            begun = begun_index(indexes, space.id)
            if begun is None and not beside_serving:
                begun = serving_index(indexes, space.id)
            if begun is not None:
                return begun
            builds = [index.owner.build for index in indexes if index.owner.space_id == space.id]
            return await self._create(space, max(builds, default=0) + 1)

    async def _create(self, space: StoredSpace, build: int) -> ClusterIndex:
        if space.space.dimensions > MAX_DIMENSIONS:
            raise OpenSearchMappingError(
                f"The vectors of space {space.id} have {space.space.dimensions} numbers, and OpenSearch takes "
                f"{MAX_DIMENSIONS}",
                "have them cut with embedder.dimensions",
            )
        # Before it is filled for a name that it cannot have.
        await self._check_alias(space_alias(self._settings, space.id), space.id)
        owner = IndexOwner(self._installation, space.id, build=build)
        name = index_name(self._settings, space.id, uuid.uuid4().hex[:12])
        await self._client.request("PUT", url_path(name), index_body(self._settings, owner, space, name))
        return ClusterIndex(name, owner, frozenset({write_alias(name)}), is_serving=False)

    async def publish(self, index: ClusterIndex) -> None:
        """Let an index answer the searches in its space from now on, and no other one."""
        alias = space_alias(self._settings, index.owner.space_id)
        await self._check_alias(alias, index.owner.space_id)
        former = [each for each in await self._own_indexes() if alias in each.aliases and each.name != index.name]
        refreshed = {"index": {"refresh_interval": REFRESH_INTERVAL}}
        await self._client.request("PUT", url_path(index.name, "_settings"), refreshed)
        actions = [{"add": {"index": index.name, "alias": alias}}]
        actions += [{"remove": {"index": each.name, "alias": alias}} for each in former]
        await self._client.request("POST", "/_aliases", {"actions": actions})

    async def serve(self, space_id: int) -> None:
        """Let the alias for others lead to the index of the space that serves; nothing happens before it is there."""
        alias = serving_alias(self._settings)
        index = serving_index(await self.indexes(), space_id)
        if index is None or alias in index.aliases:
            return
        await self._check_alias(alias, None)
        actions = [{"add": {"index": index.name, "alias": alias}}]
        actions += [
            {"remove": {"index": each.name, "alias": alias}} for each in await self.indexes() if alias in each.aliases
        ]
        await self._client.request("POST", "/_aliases", {"actions": actions})

    async def beat(self, index: ClusterIndex) -> None:
        """Let a copy of the database see that this one writes the index; nothing happens where it is gone."""
        owner = replace(index.owner, beat=index.owner.beat + 1)
        with contextlib.suppress(OpenSearchIndexMissingError):
            await self._client.request("PUT", url_path(index.name, "_mapping"), {"_meta": owner.as_meta()})

    async def drop(self, name: str) -> None:
        """Delete an index; nothing happens where it is gone."""
        try:
            await self._client.request("DELETE", url_path(name))
        except OpenSearchIndexMissingError:
            return

    async def _check_alias(self, alias: str, space_id: int | None) -> None:
        """Raises OpenSearchAliasError where an index that is not this gateway's goes by a name that it needs."""
        try:
            found: Mapping[str, Any] = await self._client.request("GET", url_path(alias))
        except OpenSearchIndexMissingError:
            return
        for name, described in found.items():
            owner = IndexOwner.of(described["mappings"].get("_meta", {}))
            if name == alias or owner is None or space_id not in (None, owner.space_id):
                raise _taken(alias, name)
            if owner.installation != self._installation:
                await self._take_over(alias, name, owner)

    async def _take_over(self, alias: str, name: str, owner: IndexOwner) -> None:
        """Drop an index of the database that this one was copied from. Raises OpenSearchAliasError where that is alive,
        or another one."""
        if owner.installation not in await former_installation_ids(self._database):
            raise _taken(alias, name)
        beat, since = self._beats.get(name, (-1, 0.0))
        if beat != owner.beat:
            self._beats[name] = (owner.beat, time.monotonic())
        elif time.monotonic() - since > _SILENT_SECONDS:
            await self.drop(name)
            return
        raise OpenSearchAliasError(
            f"The name {alias} belongs to index {name} of the database that this one is a copy of",
            "choose another opensearch.index_prefix; if that database is gone, the index is replaced in some minutes",
        )


def _taken(alias: str, name: str) -> OpenSearchAliasError:
    return OpenSearchAliasError(
        f"The name {alias} belongs to index {name}, which is not this gateway's",
        "choose another opensearch.index_prefix, or remove that alias",
    )


def serving_index(indexes: Sequence[ClusterIndex], space_id: int) -> ClusterIndex | None:
    """The one of them that answers searches in a space, None where there is none."""
    serving = [each for each in indexes if each.is_serving and each.owner.space_id == space_id]
    return max(serving, key=lambda each: each.order, default=None)


def begun_index(indexes: Sequence[ClusterIndex], space_id: int) -> ClusterIndex | None:
    """The one of this version that is being filled for a space, None where there is none.

    One that is older than the one that serves is none: it was replaced, and is not deleted yet.
    """
    serving = serving_index(indexes, space_id)
    begun = [
        each
        for each in indexes
        if not each.is_serving
        and not each.is_closed
        and each.owner.space_id == space_id
        and each.owner.mapping_version == MAPPING_VERSION
        and (serving is None or each.order > serving.order)
    ]
    return max(begun, key=lambda each: each.order, default=None)


def replaced_indexes(indexes: Sequence[ClusterIndex], space_id: int) -> list[ClusterIndex]:
    """Those of a space that are of no use any more, for a later one serves; those that an older version of the gateway
    laid out among them: what is left of that one asks PostgreSQL meanwhile."""
    serving = serving_index(indexes, space_id)
    if serving is None:
        return []
    kept = (serving, begun_index(indexes, space_id))
    return [
        each
        for each in indexes
        if each.owner.space_id == space_id and each.owner.mapping_version <= MAPPING_VERSION and each not in kept
    ]
