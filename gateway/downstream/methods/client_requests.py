"""What an upstream server asks while it works on a call: put to the client that made the call, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND

from gateway.downstream.client_request import ClientRequest

CAPABILITY_OF = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""The client capability that a question needs."""


class ClientRequests:
    """Puts questions to handshake clients, who can be asked at any time."""

    def __init__(self, seconds: float) -> None:
        """A client has `seconds` to answer."""
        self._seconds = seconds

    async def put(self, exchange: ClientRequest, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The client's answer. Raises MCPError where it refuses, cannot be asked, or is silent for too long."""
        check_askable(exchange, method, params)
        if exchange.ask is None:
            raise cannot_be_asked(method)
        try:
            return await asyncio.wait_for(exchange.ask(method, dict(params)), self._seconds)
        except asyncio.TimeoutError:
            raise unanswered(method, self._seconds) from None

    async def bridge(self, exchange: ClientRequest, result: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be added to the params of a retry, after an `input_required` result of a modern upstream server.

        Raises MCPError where a question cannot be put or answered.
        """
        requests = result.get("inputRequests")
        if requests is not None and not isinstance(requests, Mapping):
            raise MCPError(code=INTERNAL_ERROR, message="The server's inputRequests are not an object.")
        responses: dict[str, Any] = {}
        for key, request in (requests or {}).items():
            method = request.get("method") if isinstance(request, Mapping) else None
            if not isinstance(method, str):
                raise MCPError(code=INTERNAL_ERROR, message="The server asked something that has no method.")
            responses[key] = await self.put(exchange, method, request.get("params") or {})
        added: dict[str, Any] = {"inputResponses": responses} if responses else {}
        if "requestState" in result:
            added["requestState"] = result["requestState"]
        return added


def check_askable(exchange: ClientRequest, method: str, params: Mapping[str, Any]) -> None:
    """Raise MCPError where the client has not said that it takes such questions."""
    capability = CAPABILITY_OF.get(method)
    declared = exchange.capabilities.get(capability) if capability is not None else None
    if not isinstance(declared, Mapping):
        raise cannot_be_asked(method)
    if method == "elicitation/create":
        mode = params.get("mode", "form")
        # A client that names no mode takes forms.
        if mode not in (declared or {"form": {}}):
            raise cannot_be_asked(f"{method} in the mode {mode!r}")


def cannot_be_asked(what: str) -> MCPError:
    """The refusal for a client that does not take the question."""
    return MCPError(code=METHOD_NOT_FOUND, message=f"The client behind this gateway cannot be asked {what}.")


def unanswered(method: str, seconds: float) -> MCPError:
    """The refusal for a client that is silent."""
    return MCPError(code=INVALID_PARAMS, message=f"The client did not answer {method} within {seconds:.3g} s.")
