"""Resources and resource templates of upstream servers, and the server that an address leads to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.audit.call_log import CallLog, LoggedUse
from gateway.catalog.servers.server import Servers
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.lists.app_resources import AppResources
from gateway.downstream.lists.list_snapshot import NAME_FIELDS, ListKind
from gateway.downstream.lists.merged_list import MergedItem, MergedLists, Origin
from gateway.downstream.lists.upstream_lists import ServerItems, UpstreamLists
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.methods.use_guards import UseGuard, UseGuards
from gateway.downstream.result_limit import ResultLimit
from gateway.downstream.uri import parse_qualified_uri, qualify_uri, template_space, uri_scheme, uri_space

_KINDS: tuple[ListKind, ...] = ("resources", "resourceTemplates")
_SHOWN_CHARACTERS = 200
_NOT_FOUND = (INVALID_PARAMS, -32002)


class Resources:
    """Lists and reads resources.

    An address is shown as its server gave it, for results and tools name it so. Where several servers have the same,
    the oldest keeps it and it is qualified by server for the others. Qualified addresses are accepted for all.
    """

    def __init__(
        self,
        upstream_lists: UpstreamLists,
        servers: Servers,
        app_resources: AppResources,
        forwarder: UpstreamForwarder,
        limit: ResultLimit,
        call_log: CallLog,
        guards: UseGuards,
    ) -> None:
        self._upstream_lists = upstream_lists
        self._servers = servers
        self._app_resources = app_resources
        self._forwarder = forwarder
        self._limit = limit
        self._call_log = call_log
        self._guards = guards
        self._lists = {
            kind: MergedLists(upstream_lists, kind, partial(_merge_resources, NAME_FIELDS[kind])) for kind in _KINDS
        }

    async def list_resources(self, request: ClientRequest) -> Result:
        """resources/list. Raises MCPError for a cursor that is none of the list."""
        return (await self._lists["resources"].get(request.caller)).pages.page(request.params.get("cursor"))

    async def list_templates(self, request: ClientRequest) -> Result:
        """resources/templates/list. Raises as `list_resources`."""
        return (await self._lists["resourceTemplates"].get(request.caller)).pages.page(request.params.get("cursor"))

    async def read(self, request: ClientRequest) -> Result:
        """resources/read: of the server that lists the address, or that the address may belong to.

        Raises MCPError where no server of this caller has it, or its guards withhold it. Addresses in the result are as
        the client knows them.
        """
        uri = request.params.get("uri")
        async with self._call_log.use(request.caller, "resource.read", uri) as logged:
            result = await self._read(request, uri, logged)
        return self._limit.check(result)

    async def _read(self, request: ClientRequest, uri: object, logged: LoggedUse) -> dict[str, Any]:
        refusal: MCPError | None = None
        for server_id, upstream_uri in await self.resolve(request.caller, uri):
            spec = await self._servers.spec(request.caller.tenant_id, server_id)
            logged.set_server(spec.name)
            params = {**request.params, "uri": upstream_uri}
            guarded = await self._guards.of_other(
                request.caller, "resources", server_id, spec.name, upstream_uri, logged
            )
            if guarded is not None:
                # An address that a guard would change is another one, so that it is refused in place of that.
                await guarded.check_address(upstream_uri)
            try:
                result = await self._forwarder.forward(request, spec, "resources/read", params, logged)
            except MCPError as error:
                # Several may have it: one that fails keeps nobody from asking the next.
                refusal = refusal or await _checked(guarded, error)
                continue
            if guarded is not None:
                result = await guarded.check_result(result)
            logged.set_outcome("ok")
            return _with_client_uri(result, upstream_uri, str(uri))
        if refusal is not None and refusal.code not in _NOT_FOUND:
            raise refusal
        logged.set_outcome("unknown")
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"There is no resource {str(uri)[:_SHOWN_CHARACTERS]!r}; resources/list shows those there are.",
            data={"uri": uri},
        ) from refusal

    async def resolve(self, caller: Caller, uri: object) -> list[Origin]:
        """The servers that an address may belong to, the likeliest first, each with the address as it knows it.

        Raises MCPError for what is no address.
        """
        if not isinstance(uri, str) or not uri:
            raise MCPError(code=INVALID_PARAMS, message="params.uri has to be the address of a resource.")
        qualified = parse_qualified_uri(uri)
        if qualified is not None:
            return await self._resolve_qualified(caller, *qualified)
        merged = await self._lists["resources"].get(caller)
        if uri in merged.origins:
            return [merged.origins[uri]]
        server_ids = await self._app_server_ids(caller, uri)
        # Who lists addresses beside this one goes before who has a template for it: a template may claim anything.
        space = uri_space(uri)
        server_ids += [server.id for server, _ in merged.sources if (server.id, space) in merged.spaces]
        templates = await self._upstream_lists.get_all(caller, "resourceTemplates")
        server_ids += _server_ids_of_templates(templates, uri, space)
        # A server need not list what it links to in results: those are asked that list others of the same scheme.
        scheme = uri_scheme(uri)
        server_ids += [server.id for server, _ in merged.sources if (server.id, scheme) in merged.schemes]
        return [Origin(server_id, uri) for server_id in dict.fromkeys(server_ids)]

    async def resolve_template(self, caller: Caller, template: object) -> Origin:
        """Server and upstream's own form of a listed template or resource. Raises MCPError."""
        if isinstance(template, str):
            qualified = parse_qualified_uri(template)
            slug, upstream_uri = qualified if qualified is not None else (None, template)
            for kind in _KINDS:
                for server, items in await self._upstream_lists.get_all(caller, kind):
                    if slug in (None, server.slug) and any(item[NAME_FIELDS[kind]] == upstream_uri for item in items):
                        return Origin(server.id, upstream_uri)
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"There is no resource template {str(template)[:_SHOWN_CHARACTERS]!r}; resources/templates/list "
            "shows those there are.",
        )

    async def is_readable(self, caller: Caller, server_id: int, upstream_uri: str) -> bool:
        """Whether the resource `upstream_uri` of a server is still one that this caller may read."""
        servers = await self._upstream_lists.servers(caller.tenant_id, caller.role_ids)
        if any(server.id == server_id for server in servers):
            return True
        return server_id in await self._app_server_ids(caller, upstream_uri)

    async def _resolve_qualified(self, caller: Caller, slug: str, upstream_uri: str) -> list[Origin]:
        for server in await self._upstream_lists.servers(caller.tenant_id, caller.role_ids):
            if server.slug == slug:
                return [Origin(server.id, upstream_uri)]
        server_ids = await self._app_server_ids(caller, upstream_uri)
        if not server_ids:
            return []
        slugs = {server.id: server.slug for server in await self._servers.list(caller.tenant_id)}
        return [Origin(server_id, upstream_uri) for server_id in server_ids if slugs.get(server_id) == slug]

    async def _app_server_ids(self, caller: Caller, uri: str) -> list[int]:
        if "\x00" in uri or any("\ud800" <= character <= "\udfff" for character in uri):
            # No text of the database has these.
            return []
        return await self._app_resources.server_ids(caller.tenant_id, caller.role_ids, uri)


async def _checked(guarded: UseGuard | None, error: MCPError) -> MCPError:
    """A server's error as its guards let the client hear it; that there is nothing is said in the gateway's words."""
    if guarded is None or error.code in _NOT_FOUND:
        return error
    try:
        return await guarded.check_error(error)
    except MCPError as withheld:
        return withheld


def _merge_resources(name_field: str, sources: Sequence[ServerItems]) -> list[MergedItem]:
    merged: dict[str, MergedItem] = {}
    taken: set[str] = set()
    for server, items in sources:
        for item in items:
            upstream_uri = item[name_field]
            uri = qualify_uri(server.slug, upstream_uri) if upstream_uri in taken else upstream_uri
            merged.setdefault(uri, MergedItem(uri, server.id, upstream_uri, item))
        taken.update(item[name_field] for item in items)
    return list(merged.values())


def _server_ids_of_templates(sources: Sequence[ServerItems], uri: str, space: str) -> list[int]:
    """Servers with a template for `uri` that reaches into this namespace alone, those of the most literal one first."""
    lengths: dict[int, int] = {}
    for server, items in sources:
        for item in items:
            template = item["uriTemplate"]
            if template_space(template) == space and _matches_template(template, uri):
                lengths[server.id] = max(lengths.get(server.id, 0), len(template.partition("{")[0]))
    return sorted(lengths, key=lambda server_id: -lengths[server_id])


def _with_client_uri(result: dict[str, Any], upstream_uri: str, client_uri: str) -> dict[str, Any]:
    """The contents under the address that was asked for, where that is not the upstream's own."""
    contents = result.get("contents")
    if upstream_uri == client_uri or not isinstance(contents, list):
        return result
    return {
        **result,
        "contents": [
            {**part, "uri": client_uri} if isinstance(part, dict) and part.get("uri") == upstream_uri else part
            for part in contents
        ],
    }


def _matches_template(template: str, uri: str) -> bool:
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
