"""Where searches run, and the indexes in a cluster."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.search_index import IndexDropInput, IndexRebuildInput, SearchIndexView


@operation("GET", "/index", gateway_wide=True)
async def get_index(context: RestContext) -> SearchIndexView:
    """Show where searches run and, where that is an OpenSearch cluster, its indexes and how far they are behind."""
    return await context.services.search_index.get()


@operation("POST", "/index/rebuild", gateway_wide=True, status=202)
async def rebuild_index(context: RestContext, body: IndexRebuildInput) -> None:
    """Have a new index filled beside the one that serves; 409 where searches do not run in a cluster."""
    await context.services.search_index.rebuild(body)


@operation("DELETE", "/index", gateway_wide=True)
async def drop_index(context: RestContext, query: IndexDropInput) -> None:
    """Delete an index from the cluster, or all of this gateway's, which are built anew while PostgreSQL answers."""
    await context.services.search_index.drop(query)


OPERATIONS = (get_index, rebuild_index, drop_index)
