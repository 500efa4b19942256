"""What a server asks of the gateway: elicitation, sampling, roots, and pings."""

from __future__ import annotations

import logging
import shlex
from collections import deque

import anyio
from anyio.abc import TaskGroup
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND

from gateway.errors import ModelGateError, TooDeepError, UpstreamError
from gateway.json_codec import Message
from gateway.upstream.rpc.call import Call
from gateway.upstream.rpc.peer import Peer

logger = logging.getLogger(__name__)

_MAX_OPEN = 64
_MAX_REFUSALS = 1_000
_MAX_ID_CHARACTERS = 1_000
_REFUSAL_SECONDS = 5.0


class ServerRequests:
    """Answers a server's questions through the call they belong to, else refuses them."""

    def __init__(self, server: str, peer: Peer, tasks: TaskGroup, *, refuses_roots: bool = False) -> None:
        """`refuses_roots`: nobody's roots are told, for a server keeps them for all who share its session."""
        self._server = server
        self._peer = peer
        self._tasks = tasks
        self._refuses_roots = refuses_roots
        self._open: dict[object, anyio.CancelScope] = {}
        self._refusals: deque[tuple[object, Message]] = deque()
        self._refusing = False

    def handle(self, message: Message, call: Call | None) -> None:
        """Take a question; beyond 64 open ones it is refused, so that a server cannot fill memory by asking."""
        if not isinstance(message["id"], str | int):
            logger.warning("server %s asks under an id that is none: %s dropped", self._server, message["method"])
            return
        if message["id"] in self._open:
            logger.warning("server %s asks twice under one id: %s dropped", self._server, message["method"])
            return
        if len(self._open) >= _MAX_OPEN:
            logger.warning("server %s asks too much at once: %s refused", self._server, message["method"])
            text = f"This gateway takes {_MAX_OPEN} questions of server {self._server} at once; ask again later."
            self._refuse(
                message, {"result": {}} if message["method"] == "ping" else _error_response(INTERNAL_ERROR, text)
            )
            return
        scope = anyio.CancelScope()
        self._open[message["id"]] = scope
        if call is not None:
            call.server_requests.add(scope)
        self._tasks.start_soon(self._answer, message, call, scope)

    def cancel(self, request_id: object) -> None:
        """The server no longer wants an answer."""
        scope = self._open.pop(request_id, None) if isinstance(request_id, str | int) else None
        if scope is not None:
            scope.cancel()

    async def _answer(self, message: Message, call: Call | None, scope: anyio.CancelScope) -> None:
        settled = False
        try:
            with scope:
                outcome = await self._response_body(message["method"], message["params"], call)
                settled = True
                await self._send(message["id"], message["method"], outcome)
        finally:
            wanted = self._open.get(message["id"]) is scope
            if wanted:
                del self._open[message["id"]]
            if call is not None:
                call.end_server_request(scope)
        if wanted and not settled:
            # The call has ended, yet the server may ask on behalf of another, and waits.
            self._refuse(message, _error_response(INTERNAL_ERROR, "Nobody is there any more who could answer."))

    async def _send(self, request_id: object, method: str, outcome: Message) -> None:
        try:
            try:
                await self._peer.respond(request_id, outcome)
            except TooDeepError:
                logger.warning("the answer to %s of server %s is nested too deeply to be sent", method, self._server)
                await self._peer.respond(request_id, _failed_response(method))
        except UpstreamError as error:
            logger.debug("answer to server %s not sent: %s", self._server, error)
        except Exception:
            logger.exception("answer to %s of server %s not sent", method, self._server)

    def _refuse(self, message: Message, outcome: Message) -> None:
        """Leave an answer to the one task that sends them; a server that asks on without reading gets none."""
        too_long = isinstance(message["id"], str) and len(message["id"]) > _MAX_ID_CHARACTERS
        if too_long or len(self._refusals) >= _MAX_REFUSALS:
            logger.warning("server %s reads no answers: %s dropped", self._server, message["method"])
            return
        self._refusals.append((message["id"], outcome))
        if not self._refusing:
            self._refusing = True
            self._tasks.start_soon(self._send_refusals)

    async def _send_refusals(self) -> None:
        try:
            while self._refusals:
                request_id, outcome = self._refusals.popleft()
                with anyio.move_on_after(_REFUSAL_SECONDS):
                    await self._send(request_id, "a question", outcome)
        finally:
            self._refusing = False

    async def _response_body(self, method: str, params: Message, call: Call | None) -> Message:
        if method == "ping":
            return {"result": {}}
        handler = call.request.hooks.on_server_request if call is not None else None
        if method == "roots/list" and self._refuses_roots:
            return _error_response(METHOD_NOT_FOUND, self._shared_roots_reason())
        if handler is None:
            reason = self._no_handler_reason(method, call)
            logger.warning("%s", reason)
            return _error_response(METHOD_NOT_FOUND, reason)
        try:
            return {"result": await handler(method, params)}
        except MCPError as error:
            return {"error": error.error.model_dump(mode="json", exclude_none=True)}
        except ModelGateError as error:
            return _error_response(INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("question %s of server %s could not be answered", method, self._server)
            return _failed_response(method)

    def _shared_roots_reason(self) -> str:
        return (
            f"This gateway does not answer roots/list of server {self._server}, whose session all clients share: roots "
            "of one would reach the others; give each client a session of its own: "
            f"modelgate servers set {shlex.quote(self._server)} --session per_client"
        )

    def _no_handler_reason(self, method: str, call: Call | None) -> str:
        if call is None and self._peer.has_attributable_call:
            return (
                f"Server {self._server} asked {method} while calls of more than one client may have been under way in "
                "the session that all share, so nobody can tell whom to ask; give each client a session of its own: "
                f"modelgate servers set {shlex.quote(self._server)} --session per_client"
            )
        return f"This gateway cannot answer {method} of server {self._server} here: no client takes the question."


def _failed_response(method: str) -> Message:
    return _error_response(INTERNAL_ERROR, f"This gateway could not answer {method}.")


def _error_response(code: int, message: str) -> Message:
    return {"error": {"code": code, "message": message}}
