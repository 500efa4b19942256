"""Requests that one process answers and whose client another one has a stream to, seen from both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.access.caller import Caller
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.membership import Membership
from gateway.cluster.upstreams.remote_hooks import RemoteHooks, receive_until_answered
from gateway.cluster.upstreams.upstream_wire import error_from_wire, error_to_wire
from gateway.downstream.client_request import Result
from gateway.downstream.protocol.sessions.client_sessions import LiveSession
from gateway.downstream.protocol.sessions.handshake_request import GetContext, from_handshake
from gateway.downstream.protocol.sessions.running_request import TAKE_OVER_SECONDS, RunningRequest
from gateway.downstream.serialized_result import SerializedResult
from gateway.errors import LinkFailedError, LinkLostError, ModelGateError
from gateway.upstream.request import CallHooks

_SERVICE = "session-request"


class JoinedRequests:
    """Here requests are answered for sessions that others hold, who join them; and those of others are joined."""

    def __init__(self, hop: Hop, membership: Membership) -> None:
        self._hop = hop
        self._membership = membership
        self._running: dict[int, RunningRequest[CallHooks]] = {}
        self._numbers = itertools.count(1)
        hop.services[_SERVICE] = self._serve

    @contextmanager
    def offering(self, running: RunningRequest[CallHooks]) -> Iterator[int]:
        """While another member may join a request, by the number that this gives, and for a second after that."""
        number = next(self._numbers)
        self._running[number] = running
        try:
            yield number
        finally:
            # Its client may have left before it was joined, and take up its stream again.
            asyncio.get_running_loop().call_later(TAKE_OVER_SECONDS, self._running.pop, number)

    async def join(
        self, member_id: str, number: int, get_context: GetContext, caller: Caller, live: LiveSession | None
    ) -> Result:
        """The result of a request that a member answers; its client is told meanwhile what there is to say.

        Raises what the handler raised there, and MCPError where the member is gone.
        """
        context = await get_context()
        # It may have come just now.
        member = await self._membership.find(member_id)
        if context is None or member is None:
            raise _interrupted()
        request = from_handshake(context, caller, live)
        hooks = CallHooks(request.on_progress, request.on_notification, request.ask_client)
        try:
            link = await self._hop.link(member)
            stream = await link.open(_SERVICE, {"number": number})
            try:
                head = await receive_until_answered(stream, hooks)
            finally:
                stream.close()
        except (LinkLostError, LinkFailedError):
            raise _interrupted() from None
        if "error" in head:
            raise error_from_wire(head["error"])
        result: Result = head["result"]
        return result

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """A member that has a stream to the client joins a request; where it gives that up, nothing comes of it."""
        running = self._running.get(int(first.head["number"]))
        if running is None:
            return LinkMessage({"error": error_to_wire(_interrupted())})
        remote = RemoteHooks(stream)
        listening = asyncio.create_task(remote.take_answers())
        try:
            result = await running.join(remote.hooks(True, True, True))
            return LinkMessage({"result": result.value if isinstance(result, SerializedResult) else result})
        except (ModelGateError, MCPError) as error:
            return LinkMessage({"error": error_to_wire(error)})
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def _interrupted() -> MCPError:
    return MCPError(
        code=INTERNAL_ERROR,
        message="The gateway process that answered this request ended in the midst of it; what was asked for may have "
        "been done, so look before you try again.",
    )
