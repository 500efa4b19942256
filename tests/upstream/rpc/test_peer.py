"""What one end of a connection keeps of what the other says."""

from __future__ import annotations

import weakref
from typing import Any

from gateway.errors import UpstreamReplyError
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.call import Call
from gateway.upstream.rpc.peer import Peer
from tests.support.waiting import until


class Said(dict[str, Any]):
    """A message of which it can be told whether anybody keeps it."""


def ignore(*_: object) -> None:
    """Nobody listens."""


async def test_of_errors_that_name_no_request_the_first_is_kept() -> None:
    peer = Peer(
        "Odd",
        exclusive=True,
        call_timeout=30,
        max_call_seconds=30,
        on_notification=ignore,
        on_request=ignore,
        on_closed=ignore,
        on_first_message=ignore,
        on_session_doubted=ignore,
    )
    call = peer._calls[1] = Call(1, UpstreamRequest("tools/call", {"name": "x"}))
    said = [Said(id=None, error={"code": -32603, "message": f"no memory {number}"}) for number in range(3)]
    kept = [weakref.ref(each) for each in said]
    while said:
        assert peer.message_received(said.pop(0))
    assert [reference() is not None for reference in kept] == [True, False, False]
    await until(lambda: call.settled)
    assert isinstance(call.error, UpstreamReplyError)
    assert "no memory 0" in call.error.message
