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

_MAX_ROLE_SETS = 1_000


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """The clauses that a document in scope fulfils, and how many documents PostgreSQL says that there are.

    `key` is equal for equal filters.
    """

    clauses: tuple[Mapping[str, Any], ...]
    documents: int
    key: tuple[Any, ...]


class ScopeFilters:
    """Compiles what the rules of roles come to, server by server, when a search needs it: a change of a role takes no
    write in the cluster, and holds for the next search.
    """

    def __init__(self, database: Database, notices: Notices | None, installation: str) -> None:
        self._database = database
        self._installation = installation
        self._rows: NotifiedCache[tuple[int, ...], list[Row]] = NotifiedCache(notices, _MAX_ROLE_SETS)

    async def filter_of(self, scope: SearchScope) -> ScopeFilter | None:
        """The filter; None where it would have to name more than `MAX_NAMED_TOOLS` tools. Raises DatabaseError."""

        async def read() -> list[Row]:
            return await self._database.fetch("visible_scope", scope.tenant_id, list(scope.role_ids))

        rows = await self._rows.get(scope.tenant_id, scope.role_ids, read)
        if scope.server_id is not None:
            rows = [row for row in rows if row["server_id"] == scope.server_id]
        named = [tool_id for row in rows for tool_id in row["visible_ids"]]
        hidden = [tool_id for row in rows for tool_id in row["hidden_ids"]]
        if len(named) + len(hidden) > MAX_NAMED_TOOLS:
            return None
        servers = [row["server_id"] for row in rows if not row["visible_ids"]]
        tenant = tenant_key(self._installation, scope.tenant_id)
        key = (tenant, scope.category, tuple(servers), tuple(named), tuple(hidden))
        return ScopeFilter(
            _clauses(tenant, scope.category, servers, named, hidden), sum(row["visible"] for row in rows), key
        )


def _clauses(
    tenant: str, category: str | None, servers: list[int], named: list[int], hidden: list[int]
) -> tuple[Mapping[str, Any], ...]:
    clauses: list[Mapping[str, Any]] = [{"term": {"tenant": tenant}}]
    if category is not None:
        clauses.append({"term": {"category": category}})
    either: list[Mapping[str, Any]] = [{"terms": {"server": servers}}] if servers else []
    if named:
        either.append({"terms": {"tool": named}})
    # Without any, nothing matches.
    clauses.append({"bool": {"should": either}} if either else {"match_none": {}})
    if hidden:
        clauses.append({"bool": {"must_not": [{"terms": {"tool": hidden}}]}})
    return tuple(clauses)
