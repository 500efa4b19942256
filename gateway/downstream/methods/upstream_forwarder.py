"""One request on its way to an upstream server and back, with all that goes between them meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.client_requests import CAPABILITY_OF, ClientRequests, cannot_be_asked
from gateway.downstream.methods.pending_calls import PendingCall, PendingCalls
from gateway.downstream.result_limit import bounded_error
from gateway.errors import UpstreamReplyError
from gateway.json_codec import check_sendable
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec

_MAXIMUM_ROUNDS = 32
_MINE = ("inputResponses", "requestState")

Within: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[None]]
"""What a call is made inside of: entered where it begins, left where it ends."""


class UpstreamForwarder:
    """Passes requests on as they are: progress, log messages and questions reach the client that made them."""

    def __init__(self, pool: UpstreamPool, questions: ClientRequests, held: PendingCalls) -> None:
        self._pool = pool
        self._questions = questions
        self._held = held

    async def send(
        self,
        exchange: ClientRequest,
        spec: ServerSpec,
        method: str,
        params: Mapping[str, Any],
        within: Within = contextlib.nullcontext,
    ) -> Any:
        """The upstream's result, untouched. The call is made inside of `within()`, which a call that is held while its
        client answers a question does not leave before it has ended.

        Raises MCPError for a JSON-RPC error of the upstream, with its own code, message and data; UpstreamError for
        what keeps the upstream from answering.
        """
        try:
            check_sendable(params)
        except ValueError as error:
            raise MCPError(code=INVALID_PARAMS, message=f"params cannot be passed on as JSON: {error}.") from None
        try:
            if exchange.era == "modern":
                return await self._for_modern(exchange, spec, method, params, within)
            async with within():
                return await self._bridged(exchange, spec, method, params)
        except UpstreamReplyError as error:
            raise bounded_error(error.code, error.message, error.data) from None

    async def _bridged(self, exchange: ClientRequest, spec: ServerSpec, method: str, params: Mapping[str, Any]) -> Any:
        """What a modern server asks in its result is put to a client that is asked in the middle of its call."""
        result = await self._request(exchange, spec, method, params)
        for _ in range(_MAXIMUM_ROUNDS):
            if result.get("resultType") != "input_required":
                return result
            if exchange.ask is None:
                raise cannot_be_asked("anything in a single request; call in a session")
            params = {key: value for key, value in params.items() if key not in _MINE}
            params |= await self._questions.bridge(exchange, result)
            result = await self._request(exchange, spec, method, params)
        raise MCPError(
            code=INTERNAL_ERROR, message=f"Server {spec.name} asked {_MAXIMUM_ROUNDS} times and is not done."
        )

    async def _for_modern(
        self, exchange: ClientRequest, spec: ServerSpec, method: str, params: Mapping[str, Any], within: Within
    ) -> Any:
        askable = any(name in exchange.capabilities for name in CAPABILITY_OF.values())
        if not askable and not self._held.concerns(exchange):
            async with within():
                return await self._request(exchange, spec, method, params)

        async def start(held: PendingCall) -> dict[str, Any]:
            async with within():
                return await self._request(exchange, spec, method, params, held)

        return await self._held.run(exchange, spec, f"{method}:{params.get('name') or params.get('uri')}", start)

    async def _request(
        self,
        exchange: ClientRequest,
        spec: ServerSpec,
        method: str,
        params: Mapping[str, Any],
        held: PendingCall | None = None,
    ) -> dict[str, Any]:
        async def progress(done: float, total: float | None, message: str | None) -> None:
            waiting = held.listener if held is not None else exchange
            if waiting is not None and waiting.on_progress is not None:
                await waiting.on_progress(done, total, message)

        async def notified(said: str, about: dict[str, Any]) -> None:
            waiting = held.listener if held is not None else exchange
            if waiting is not None and waiting.on_notification is not None:
                await waiting.on_notification(said, about)

        async def asked(question: str, about: dict[str, Any]) -> dict[str, Any]:
            if held is not None:
                return await self._held.ask(held, question, about)
            return await self._questions.put(exchange, question, about)

        return await self._pool.request(
            spec,
            method,
            params,
            session_key=exchange.upstream_key,
            on_progress=progress if exchange.on_progress is not None else None,
            on_notification=notified if exchange.on_notification is not None else None,
            on_question=asked,
            capabilities=dict(exchange.capabilities),
        )
