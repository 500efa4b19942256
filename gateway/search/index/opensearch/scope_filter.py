"""What a caller may find, as a filter of the cluster's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.search.index.opensearch.documents import tenant_key
from gateway.search.index.tool_index import SearchScope

MAX_NAMED_TOOLS = 65_536
"""OpenSearch takes no more in one filter unless it is told to."""

_MAX_KEPT_IDS = 1_000_000
# A set of roles is kept as what it takes besides, were it to name none.
_LEAST_IDS = 1_000


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """The clauses that a document in scope fulfils.

    `of_any_category` has those without the one of its category: of such documents PostgreSQL says that there are
    `documents`. `tenant` is the tenant's `tenant_key`, `version` that of its catalogue, or an earlier one. `key` is
    equal for equal clauses.
    """

    clauses: tuple[Mapping[str, Any], ...]
    of_any_category: tuple[Mapping[str, Any], ...]
    documents: int
    tenant: str
    version: int
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Visible:
    """The rows of `visible_scope`, and the catalogue's version before they were read."""

    version: int
    rows: list[Row]

    @property
    def size(self) -> int:
        return max(_LEAST_IDS, sum(len(row["visible_ids"]) + len(row["hidden_ids"]) for row in self.rows))


class ScopeFilters:
    """Compiles what the rules of roles come to, server by server, when a search needs it: a change of a role takes no
    write in the cluster, and holds for the next search.
    """

    def __init__(self, database: Database, notices: Notices | None, installation: str) -> None:
        self._database = database
        self._installation = installation
        self._visible: NotifiedCache[tuple[int, ...], _Visible] = NotifiedCache(
            notices, _MAX_KEPT_IDS, size_of=lambda visible: visible.size
        )

    async def filter_of(self, scope: SearchScope) -> ScopeFilter | None:
        """The filter; None where it would have to name more than `MAX_NAMED_TOOLS` tools. Raises DatabaseError."""

        async def read() -> _Visible:
            version = await self._database.fetchval("catalogue_version", scope.tenant_id)
            rows = await self._database.fetch("visible_scope", scope.tenant_id, list(scope.role_ids))
            return _Visible(version or 0, rows)

        visible = await self._visible.get(scope.tenant_id, scope.role_ids, read)
        rows = visible.rows
        if scope.server_id is not None:
            rows = [row for row in rows if row["server_id"] == scope.server_id]
        named = [tool_id for row in rows for tool_id in row["visible_ids"]]
        hidden = [tool_id for row in rows for tool_id in row["hidden_ids"]]
        if len(named) + len(hidden) > MAX_NAMED_TOOLS:
            return None
        servers = [row["server_id"] for row in rows if not row["visible_ids"]]
        tenant = tenant_key(self._installation, scope.tenant_id)
        key = (tenant, scope.category, tuple(servers), tuple(named), tuple(hidden))
        clauses = _clauses(tenant, servers, named, hidden)
        of_category = () if scope.category is None else ({"term": {"category": scope.category}},)
        documents = sum(row["visible"] for row in rows)
        return ScopeFilter((*clauses, *of_category), clauses, documents, tenant, visible.version, key)


def _clauses(tenant: str, servers: list[int], named: list[int], hidden: list[int]) -> tuple[Mapping[str, Any], ...]:
    clauses: list[Mapping[str, Any]] = [{"term": {"tenant": tenant}}]
    either: list[Mapping[str, Any]] = [{"terms": {"server": servers}}] if servers else []
    if named:
        either.append({"terms": {"tool": named}})
    # Without any, nothing matches.
    clauses.append({"bool": {"should": either}} if either else {"match_none": {}})
    if hidden:
        clauses.append({"bool": {"must_not": [{"terms": {"tool": hidden}}]}})
    return tuple(clauses)
