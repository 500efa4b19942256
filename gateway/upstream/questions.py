"""What a server asks of the gateway: elicitation, sampling, roots, and pings."""

from __future__ import annotations

import logging
import shlex

import anyio
from anyio.abc import TaskGroup
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND

from gateway.errors import ModelGateError, UpstreamError
from gateway.upstream.call import Answering, Call
from gateway.upstream.message import Message
from gateway.upstream.peer import Peer

logger = logging.getLogger(__name__)

_MAX_OPEN = 64


class Questions:
    """Answers a server's questions through the call they belong to, else through `handler`, else refuses them."""

    def __init__(self, server: str, peer: Peer, tasks: TaskGroup, handler: Answering | None) -> None:
        self._server = server
        self._peer = peer
        self._tasks = tasks
        self._handler = handler
        self._open: dict[object, anyio.CancelScope] = {}

    def ask(self, message: Message, call: Call | None) -> None:
        """Take a question; beyond 64 open ones it is dropped, so that a server cannot fill memory by asking."""
        if not isinstance(message["id"], str | int):
            logger.warning("server %s asks under an id that is none: %s dropped", self._server, message["method"])
            return
        if len(self._open) >= _MAX_OPEN or message["id"] in self._open:
            logger.warning("server %s asks too much at once: %s dropped", self._server, message["method"])
            return
        scope = anyio.CancelScope()
        self._open[message["id"]] = scope
        if call is not None:
            call.questions.add(scope)
        self._tasks.start_soon(self._answer, message, call, scope)

    def cancel(self, request_id: object) -> None:
        """The server no longer wants an answer."""
        scope = self._open.get(request_id) if isinstance(request_id, str | int) else None
        if scope is not None:
            scope.cancel()

    async def _answer(self, message: Message, call: Call | None, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                outcome = await self._outcome(message["method"], message["params"], call)
                await self._peer.answer(message["id"], outcome)
        except UpstreamError as error:
            logger.debug("answer to server %s not sent: %s", self._server, error)
        finally:
            del self._open[message["id"]]
            if call is not None:
                call.answered(scope)

    async def _outcome(self, method: str, params: Message, call: Call | None) -> Message:
        if method == "ping":
            return {"result": {}}
        handler = (call.hooks.on_question if call is not None else None) or self._handler
        if handler is None:
            reason = self._unanswerable(method, call)
            logger.warning("%s", reason)
            return _refusal(METHOD_NOT_FOUND, reason)
        try:
            return {"result": await handler(method, params)}
        except MCPError as error:
            return {"error": error.error.model_dump(mode="json", exclude_none=True)}
        except ModelGateError as error:
            return _refusal(INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("question %s of server %s could not be answered", method, self._server)
            return _refusal(INTERNAL_ERROR, f"This gateway could not answer {method}.")

    def _unanswerable(self, method: str, call: Call | None) -> str:
        if call is None and self._peer.calls_in_flight:
            return (
                f"Server {self._server} asked {method} while calls of more than one client may have been under way in "
                "the session that all share, so nobody can tell whom to ask; give each client a session of its own: "
                f"modelgate servers set {shlex.quote(self._server)} --session per_client"
            )
        return f"This gateway cannot answer {method} of server {self._server} here: no client takes the question."


def _refusal(code: int, message: str) -> Message:
    return {"error": {"code": code, "message": message}}
