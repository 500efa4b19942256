"""Prompts of upstream servers, under names that cannot collide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.access.caller import Caller
from gateway.audit.call_log import CallLog
from gateway.catalog.naming import make_exposed_name
from gateway.catalog.servers.server import Servers
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.lists.merged_list import MergedItem, MergedLists, Origin
from gateway.downstream.lists.upstream_lists import ServerItems, UpstreamLists
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.methods.use_guards import UseGuards
from gateway.downstream.result_limit import ResultLimit

_SHOWN_CHARACTERS = 100


class Prompts:
    """Lists and gets prompts. Their names are made as those of tools are: `{slug}__{prompt}`."""

    def __init__(
        self,
        upstream_lists: UpstreamLists,
        servers: Servers,
        forwarder: UpstreamForwarder,
        limit: ResultLimit,
        call_log: CallLog,
        guards: UseGuards,
    ) -> None:
        self._lists = MergedLists(upstream_lists, "prompts", _merge_prompts)
        self._servers = servers
        self._forwarder = forwarder
        self._limit = limit
        self._call_log = call_log
        self._guards = guards

    async def list_prompts(self, request: ClientRequest) -> Result:
        """prompts/list. Raises MCPError for a cursor that is none of the list."""
        return (await self._lists.get(request.caller)).pages.page(request.params.get("cursor"))

    async def get(self, request: ClientRequest) -> Result:
        """prompts/get. Raises MCPError for a prompt that is not there, or not for this caller, or not by its guards."""
        name, caller = request.params.get("name"), request.caller
        async with self._call_log.use(caller, "prompt.get", name, request.params.get("arguments")) as logged:
            server_id, upstream_name = await self.resolve(caller, name)
            spec = await self._servers.spec(caller.tenant_id, server_id)
            logged.set_server(spec.name)
            params = {**request.params, "name": upstream_name}
            guarded = await self._guards.of_other(caller, "prompts", server_id, spec.name, str(name), logged)
            arguments = params.get("arguments")
            if arguments is not None and not isinstance(arguments, Mapping):
                raise MCPError(code=INVALID_PARAMS, message="params.arguments has to be an object.")
            if guarded is not None and arguments is not None:
                params["arguments"] = await guarded.check_arguments(arguments)
            try:
                result = await self._forwarder.forward(request, spec, "prompts/get", params, logged)
            except MCPError as error:
                if guarded is None:
                    raise
                raise await guarded.check_error(error) from None
            if guarded is not None:
                result = await guarded.check_result(result)
            logged.set_outcome("ok")
        return self._limit.check(result)

    async def resolve(self, caller: Caller, name: object) -> Origin:
        """Server and upstream's own name of a prompt. Raises MCPError."""
        origins = (await self._lists.get(caller)).origins
        if not isinstance(name, str) or name not in origins:
            raise MCPError(
                code=INVALID_PARAMS,
                message=f"There is no prompt {str(name)[:_SHOWN_CHARACTERS]!r}; prompts/list shows those there are.",
            )
        return origins[name]


def _merge_prompts(sources: Sequence[ServerItems]) -> list[MergedItem]:
    merged: dict[str, MergedItem] = {}
    for server, prompts in sources:
        for prompt in prompts:
            name = make_exposed_name(server.slug, prompt["name"], merged, server.prefix)
            merged[name] = MergedItem(name, server.id, prompt["name"], prompt)
    return [entry for _, entry in sorted(merged.items())]
