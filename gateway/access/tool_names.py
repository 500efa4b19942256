"""The names by which people and models speak of a tool, and the tools that go by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.access.roles import Visibility
from gateway.database.pool import Database
from gateway.errors import NotFoundError

_SEPARATORS = ("/", ":")


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool that goes by a name that was given, be it there just now or not.

    `name` is the upstream's own, `definition` the JSON text of what the upstream said. `own_name_only`: the name that
    was given is the tool's own, which tools of other servers may have too, and no name of the gateway's.
    `visibility` is what the roles that were asked for see of it, None where they cannot find it; `disabled`: because
    it is switched off, and for no other reason.
    """

    id: int
    server_id: int
    name: str
    exposed_name: str
    category: str
    definition: str
    removed: bool
    enabled: bool
    own_name_only: bool
    visibility: Visibility | None
    disabled: bool


async def tools_by_name(
    database: Database, tenant_id: int, name: str, role_ids: Sequence[int] = ()
) -> tuple[NamedTool, ...]:
    """The tools that go by `name`, the best match first: exposed name, server and tool, own name.

    Server and tool are "server name/tool", "slug/tool", or the same with a colon.
    """
    if not _can_be_stored(name):
        return ()
    paths = [(server, tool) for server, separator, tool in map(name.partition, _SEPARATORS) if separator]
    servers, tools = [server for server, _ in paths], [tool for _, tool in paths]
    rows = await database.fetch("tools_by_name", tenant_id, list(role_ids), name, servers, tools)
    return tuple(NamedTool(**row) for row in rows)


async def tool_by_name(database: Database, tenant_id: int, name: str) -> NamedTool:
    """The tool that a name of the gateway's means: exposed name, "server name/tool" or "slug/tool".

    Raises NotFoundError.
    """
    for tool in await tools_by_name(database, tenant_id, name):
        if not tool.own_name_only:
            return tool
    raise NotFoundError(f"There is no tool {name[:200]!r}; modelgate search shows the names of tools.")


def _can_be_stored(name: str) -> bool:
    """Whether PostgreSQL can hold this text: it knows neither the null character nor half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in name
