"""Completion of arguments: asked of the server whose prompt or resource template it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.audit.call_log import CallLog
from gateway.catalog.servers.server import Servers
from gateway.downstream.client_request import ClientRequest, Result
from gateway.downstream.methods.prompts import Prompts
from gateway.downstream.methods.resources import Resources
from gateway.downstream.methods.upstream_forwarder import UpstreamForwarder
from gateway.downstream.result_limit import ResultLimit

_MAXIMUM_VALUES = 100


class Completion:
    """Passes completion/complete on, with the reference as the upstream knows it."""

    def __init__(
        self,
        prompts: Prompts,
        resources: Resources,
        servers: Servers,
        forwarder: UpstreamForwarder,
        limit: ResultLimit,
        call_log: CallLog,
    ) -> None:
        self._prompts = prompts
        self._resources = resources
        self._servers = servers
        self._forwarder = forwarder
        self._limit = limit
        self._call_log = call_log

    async def complete(self, request: ClientRequest) -> Result:
        """The upstream's completions, the first 100 of them, which is what the protocol allows.

        Raises MCPError for a reference to nothing that this caller can see, and for a result that is too large.
        """
        reference = request.params.get("ref")
        kind = reference.get("type") if isinstance(reference, Mapping) else None
        if not isinstance(reference, Mapping) or kind not in ("ref/prompt", "ref/resource"):
            raise MCPError(code=INVALID_PARAMS, message="params.ref has to be of the type ref/prompt or ref/resource.")
        caller, named = request.caller, reference.get("name" if kind == "ref/prompt" else "uri")
        async with self._call_log.use(caller, "completion.complete", named, request.params.get("argument")) as logged:
            if kind == "ref/prompt":
                server_id, upstream_name = await self._prompts.resolve(caller, named)
                reference = {**reference, "name": upstream_name}
            else:
                server_id, upstream_name = await self._resources.resolve_template(caller, named)
                reference = {**reference, "uri": upstream_name}
            spec = await self._servers.spec(caller.tenant_id, server_id)
            logged.set_server(spec.name)
            result: dict[str, Any] = await self._forwarder.forward(
                request, spec, "completion/complete", {**request.params, "ref": reference}, logged
            )
            logged.set_outcome("ok")
        return self._limit.check(_cut_values(result))


def _cut_values(result: dict[str, Any]) -> dict[str, Any]:
    completion = result.get("completion")
    values = completion.get("values") if isinstance(completion, Mapping) else None
    if not isinstance(completion, Mapping) or not isinstance(values, list) or len(values) <= _MAXIMUM_VALUES:
        return result
    cut = {"total": len(values), **completion, "values": values[:_MAXIMUM_VALUES], "hasMore": True}
    return {**result, "completion": cut}
