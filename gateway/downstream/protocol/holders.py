"""Which process of the gateway holds what a request is about, and having that one answer."""

from __future__ import annotations

import json

from starlette.types import Receive, Scope, Send

from gateway.cluster.http_forwarder import HttpForwarder
from gateway.cluster.http_wire import FORWARDED_KEY, ForwardedFrom
from gateway.cluster.member import holder_of, id_held_by

_STATE_FIELD = b'"requestState"'


class Holders:
    """Sessions and pending calls are held by one process, which their ids name."""

    def __init__(self, forwarder: HttpForwarder | None) -> None:
        """Without `forwarder` there are no other processes, and ids are as they are."""
        self._forwarder = forwarder

    def hold(self, name: str) -> str:
        """The id of what goes by `name` in this process."""
        return name if self._forwarder is None else id_held_by(self._forwarder.own_id, name)

    def is_here(self, held_id: str) -> bool:
        """Whether this process holds what goes by `held_id`; without others it does so with everything."""
        return self._forwarder is None or holder_of(held_id) == self._forwarder.own_id

    async def forward(self, held_id: str | None, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have the process answer that holds `held_id`; False where it is this one, or is gone."""
        if self._forwarder is None:
            return False
        holder = holder_of(held_id)
        if holder is None or holder == self._forwarder.own_id:
            return False
        return await self._forwarder.forward(holder, scope, receive, send)

    @property
    def others_take_new_work(self) -> bool:
        """Whether there is another process that `forward_new_work` may go to."""
        return self._forwarder is not None and bool(self._forwarder.staying_ids)

    async def forward_new_work(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have a process answer that takes new work, for this one takes none; False where there is no other."""
        if self._forwarder is None:
            return False
        for member_id in self._forwarder.staying_ids:
            if await self._forwarder.forward(member_id, scope, receive, send):
                return True
        return False


def forwarded_from(scope: Scope) -> ForwardedFrom | None:
    """The process that has the request from its client, where that is another one."""
    origin: ForwardedFrom | None = scope.get(FORWARDED_KEY)
    return origin


def request_state(body: bytes) -> str | None:
    """The `requestState` with which a client goes on with a call, None for a request without one."""
    if _STATE_FIELD not in body:
        return None
    try:
        state = json.loads(body)["params"]["requestState"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return state if isinstance(state, str) else None
