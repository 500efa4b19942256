"""What an upstream server asks while it works on a call: sent to the client that made the call, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND

from gateway.downstream.client_request import ClientRequest

CAPABILITY_OF_METHOD = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""The client capability that a request to a client needs."""


class _QuestionError(MCPError):
    pass


def question_error(code: int, message: str, data: Any = None) -> MCPError:
    """What is wrong about a question to a client and its answer, not about the arguments of its call."""
    return _QuestionError(code, message, data)


def is_question_error(error: BaseException) -> bool:
    """Whether `question_error` made it."""
    return isinstance(error, _QuestionError)


class ClientRequests:
    """Sends requests to handshake clients, who can be asked at any time."""

    def __init__(self, timeout_seconds: float) -> None:
        """A client has `timeout_seconds` to answer."""
        self._timeout_seconds = timeout_seconds

    async def send(self, request: ClientRequest, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The result of the client that made `request`.

        Raises MCPError where it refuses, cannot be asked, or is silent for too long.
        """
        check_capability(request, method, params)
        if request.ask_client is None:
            raise unsupported_error(method)
        try:
            return await asyncio.wait_for(request.ask_client(method, dict(params)), self._timeout_seconds)
        except asyncio.TimeoutError:
            raise timeout_error(method, self._timeout_seconds) from None

    async def answer_input_requests(self, request: ClientRequest, result: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be added to the params of a retry, after an `input_required` result of a modern upstream server.

        Raises MCPError where an input request cannot be sent or answered.
        """
        input_requests = result.get("inputRequests")
        if input_requests is not None and not isinstance(input_requests, Mapping):
            raise MCPError(code=INTERNAL_ERROR, message="The server's inputRequests are not an object.")
        responses: dict[str, Any] = {}
        for key, asked in (input_requests or {}).items():
            method = asked.get("method") if isinstance(asked, Mapping) else None
            if not isinstance(method, str):
                raise MCPError(code=INTERNAL_ERROR, message="The server asked something that has no method.")
            responses[key] = await self.send(request, method, asked.get("params") or {})
        added: dict[str, Any] = {"inputResponses": responses} if responses else {}
        if "requestState" in result:
            added["requestState"] = result["requestState"]
        return added


def check_capability(request: ClientRequest, method: str, params: Mapping[str, Any]) -> None:
    """Raise MCPError where the client that made `request` has not said that it takes such requests."""
    capability = CAPABILITY_OF_METHOD.get(method)
    declared = request.capabilities.get(capability) if capability is not None else None
    if not isinstance(declared, Mapping):
        raise unsupported_error(method)
    if method == "elicitation/create":
        mode = params.get("mode", "form")
        # A client that names no mode takes forms.
        if mode not in (declared or {"form": {}}):
            raise unsupported_error(f"{method} in the mode {mode!r}")


def unsupported_error(what: str) -> MCPError:
    """The refusal for a client that does not take the request."""
    return MCPError(code=METHOD_NOT_FOUND, message=f"The client behind this gateway cannot be asked {what}.")


def timeout_error(method: str, seconds: float) -> MCPError:
    """The refusal for a client that is silent."""
    return question_error(code=INVALID_PARAMS, message=f"The client did not answer {method} within {seconds:.3g} s.")
