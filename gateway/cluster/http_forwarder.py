"""HTTP requests that another process has to answer, for it has what they are about."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.cluster.http_wire import (
    CHUNK_BYTES,
    FORWARDED_KEY,
    WireAnswer,
    WireBody,
    response_from_wire,
    scope_from_wire,
    scope_to_wire,
    send_body,
)
from gateway.cluster.links.hop import Hop
from gateway.cluster.links.link import LinkMessage, LinkStream
from gateway.cluster.membership import Membership
from gateway.edge.body_replay import replay_body
from gateway.errors import LinkFailedError, LinkLostError

_SERVICE = "http"
# A link may have ended just now, and the next one stand at once.
_TRIES = 2


class HttpForwarder:
    """Has other members answer requests, and answers those of others through `application`.

    Who asks, and whether it may, is found out by the member that answers: the request goes over as it came.
    """

    def __init__(self, hop: Hop, membership: Membership) -> None:
        self._hop = hop
        self._membership = membership
        self._application: ASGIApp | None = None
        hop.services[_SERVICE] = self._serve

    @property
    def own_id(self) -> str:
        """The id of this process."""
        return self._membership.id

    @property
    def other_leader(self) -> str | None:
        """The id of the leader, where it is known and is another process."""
        leader = self._membership.leader_id
        return leader if leader in self._membership.others else None

    @property
    def other_ids(self) -> list[str]:
        """The ids of the other members."""
        return list(self._membership.others)

    @property
    def staying_ids(self) -> list[str]:
        """The ids of the other members that take over new work."""
        return [member.id for member in self._membership.others.values() if not member.leaving]

    def serve_with(self, application: ASGIApp) -> None:
        """Answer requests that others forward through `application`."""
        self._application = application

    async def forward(
        self,
        member_id: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        body: bytes | None = None,
        is_counted: bool = False,
        running: int | None = None,
    ) -> bool:
        """Have a member answer a request; False where it is gone, and nothing was sent to the client nor taken of it.

        A member that ends in the midst of its answer ends the answer; before that, the client gets 502. `body` is the
        whole body where it has been read, None where it comes from `receive`; the last two are as in ForwardedFrom. The
        version before knows none of the three.
        """
        if scope.get(FORWARDED_KEY):
            return False
        head = scope_to_wire(scope)
        head |= {"counted": True} if is_counted else {}
        head |= {} if running is None else {"running": running}
        is_short = body is not None and len(body) <= CHUNK_BYTES
        if body is not None and not is_short:
            receive = replay_body(body, receive)
        head |= {"with_body": True} if is_short else {}
        stream = await self._open(member_id, head, body if body is not None and is_short else b"")
        if stream is None:
            return False
        sending = asyncio.create_task(send_body(stream, receive))
        is_begun = False
        try:
            while True:
                message = await stream.receive()
                if message.is_last:
                    return True
                is_begun = True
                for part in response_from_wire(message):
                    await send(part)
        except (LinkLostError, LinkFailedError):
            if not is_begun:
                await _answer_gone(send)
            return True
        finally:
            sending.cancel()
            stream.close()
            await asyncio.gather(sending, return_exceptions=True)

    async def _open(self, member_id: str, head: dict[str, Any], body: bytes) -> LinkStream | None:
        """A request to a member that has just begun; None where it is gone, or cannot be reached."""
        for _ in range(_TRIES):
            member = await self._membership.find(member_id)
            if member is None:
                return None
            with contextlib.suppress(LinkLostError):
                link = await self._hop.link(member)
                return await link.open(_SERVICE, head, body)
            await self._membership.check_gone(member_id)
        return None

    async def _serve(self, stream: LinkStream, first: LinkMessage) -> LinkMessage:
        """Answer a request of a client of another member."""
        assert self._application is not None
        receiver = WireBody(stream, first.body if first.head.get("with_body") else None)
        answer = WireAnswer(stream, takes_whole=bool(first.head.get("takes_whole")))
        # A client that has left takes no more of the answer.
        with contextlib.suppress(LinkLostError):
            await self._application(scope_from_wire(first.head, stream.peer), receiver.receive, answer.send)
        return LinkMessage({})


async def _answer_gone(send: Send) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"The gateway process that had this session ended '
        b'in the midst of the request; what was asked for may have been done, so look before you try again."}}'
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
