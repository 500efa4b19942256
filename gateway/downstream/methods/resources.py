"""Resources and resource templates of upstream servers, and the server that an address leads to."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.catalog.server import Servers
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.lists.list_snapshot import Kind
from gateway.downstream.lists.merged_list import Entry, Listed, MergedLists
from gateway.downstream.lists.offerings import Offerings
from gateway.downstream.methods.app_resources import AppResources
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.result_limit import ResultLimit
from gateway.downstream.uri import qualified, read_qualified, scheme_of

_FIELDS: dict[Kind, str] = {"resources": "uri", "resourceTemplates": "uriTemplate"}
_SHOWN_CHARACTERS = 200
_NOT_FOUND = (INVALID_PARAMS, -32002)


class Resources:
    """Lists and reads resources.

    An address is shown as its server gave it, for results and tools name it so. Where several servers have the same,
    the oldest keeps it and it is qualified by server for the others. Qualified addresses are accepted for all.
    """

    def __init__(
        self,
        offerings: Offerings,
        servers: Servers,
        apps: AppResources,
        forwarder: UpstreamForwarder,
        limit: ResultLimit,
    ) -> None:
        self._offerings = offerings
        self._servers = servers
        self._apps = apps
        self._forwarder = forwarder
        self._limit = limit
        self._lists = {
            kind: MergedLists(offerings, kind, field, partial(_addressed, field)) for kind, field in _FIELDS.items()
        }

    async def list_resources(self, request: ClientRequest) -> Result:
        """resources/list. Raises MCPError for a cursor that is none of the list."""
        return (await self._lists["resources"].get(request.caller)).pages.page(request.params.get("cursor"))

    async def list_templates(self, request: ClientRequest) -> Result:
        """resources/templates/list. Raises as `list_resources`."""
        return (await self._lists["resourceTemplates"].get(request.caller)).pages.page(request.params.get("cursor"))

    async def read(self, request: ClientRequest) -> Result:
        """resources/read: of the server that lists the address, or that the address may belong to.

        Raises MCPError where no server of this caller has it. Addresses in the result are as the client knows them.
        """
        uri = request.params.get("uri")
        refusal: MCPError | None = None
        for server_id, own in await self.resolve(request.caller, uri):
            spec = await self._servers.spec(request.caller.tenant_id, server_id)
            try:
                result = await self._forwarder.forward(request, spec, "resources/read", {**request.params, "uri": own})
            except MCPError as error:
                if error.code not in _NOT_FOUND:
                    raise
                refusal = refusal or error
                continue
            return self._limit.check(_as_asked(result, own, str(uri)))
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"There is no resource {str(uri)[:_SHOWN_CHARACTERS]!r}; resources/list shows those there are.",
            data={"uri": uri},
        ) from refusal

    async def resolve(self, caller: Caller, uri: object) -> list[tuple[int, str]]:
        """The servers that an address may belong to, the likeliest first, each with the address as it knows it.

        Raises MCPError for what is no address.
        """
        if not isinstance(uri, str) or not uri:
            raise MCPError(code=INVALID_PARAMS, message="params.uri has to be the address of a resource.")
        named = read_qualified(uri)
        if named is not None:
            return await self._qualified(caller, *named)
        merged = await self._lists["resources"].get(caller)
        if uri in merged.origins:
            return [merged.origins[uri]]
        found = await self._owners(caller, uri)
        for server, templates in await self._offerings.all(caller, "resourceTemplates"):
            if any(_matches(template["uriTemplate"], uri) for template in templates):
                found.append(server.id)
        # A server need not list what it links to in results: those are asked that list others of the same scheme.
        scheme = scheme_of(uri)
        found += [server.id for server, _ in merged.listed if (server.id, scheme) in merged.schemes]
        return [(server_id, uri) for server_id in dict.fromkeys(found)]

    async def resolve_template(self, caller: Caller, template: object) -> tuple[int, str]:
        """Server and upstream's own form of a listed template or resource. Raises MCPError."""
        if isinstance(template, str):
            named = read_qualified(template)
            slug, own = named if named is not None else (None, template)
            for kind, field in _FIELDS.items():
                for server, items in await self._offerings.all(caller, kind):
                    if slug in (None, server.slug) and any(item[field] == own for item in items):
                        return server.id, own
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"There is no resource template {str(template)[:_SHOWN_CHARACTERS]!r}; resources/templates/list "
            "shows those there are.",
        )

    async def may_use(self, caller: Caller, server_id: int, own: str) -> bool:
        """Whether the resource `own` of a server is still one that this caller may read."""
        servers = await self._offerings.servers(caller.tenant_id, caller.role_ids)
        return any(server.id == server_id for server in servers) or server_id in await self._owners(caller, own)

    async def _qualified(self, caller: Caller, slug: str, own: str) -> list[tuple[int, str]]:
        for server in await self._offerings.servers(caller.tenant_id, caller.role_ids):
            if server.slug == slug:
                return [(server.id, own)]
        owners = await self._owners(caller, own)
        if not owners:
            return []
        known = {server.id: server.slug for server in await self._servers.list(caller.tenant_id)}
        return [(server_id, own) for server_id in owners if known.get(server_id) == slug]

    async def _owners(self, caller: Caller, uri: str) -> list[int]:
        if "\x00" in uri or any("\ud800" <= character <= "\udfff" for character in uri):
            # No text of the database has these.
            return []
        return await self._apps.owners(caller.tenant_id, caller.role_ids, uri)


def _addressed(field: str, listed: Listed) -> list[Entry]:
    shown: dict[str, Entry] = {}
    taken: set[str] = set()
    for server, items in listed:
        for item in items:
            own = item[field]
            uri = qualified(server.slug, own) if own in taken else own
            shown.setdefault(uri, Entry(uri, server.id, own, item))
        taken.update(item[field] for item in items)
    return list(shown.values())


def _as_asked(result: dict[str, Any], own: str, asked: str) -> dict[str, Any]:
    """The contents under the address that was asked for, where that is not the upstream's own."""
    contents = result.get("contents")
    if own == asked or not isinstance(contents, list):
        return result
    return {
        **result,
        "contents": [
            {**part, "uri": asked} if isinstance(part, dict) and part.get("uri") == own else part for part in contents
        ],
    }


def _matches(template: str, uri: str) -> bool:
    """Whether `uri` may be an expansion of a URI template (RFC 6570); an expression stands for any characters."""
    if not uri.startswith(template.partition("{")[0]):
        # The most by far, and found at once.
        return False
    first, *others = re.split(r"\{[^{}]*\}", template)
    if not others:
        return uri == first
    if not uri.startswith(first):
        return False
    position = len(first)
    for part in others[:-1]:
        position = uri.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return len(uri) - position >= len(others[-1]) and uri.endswith(others[-1])
