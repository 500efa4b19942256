"""Hearing what a server says unasked: of changed lists, and of the resources that somebody subscribed to."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from gateway.backoff import Backoff
from gateway.errors import UpstreamError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.request import SUBSCRIPTIONS_LISTEN, UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.rpc.peer import Peer
from gateway.upstream.rpc.protocol_era import ProtocolEra

logger = logging.getLogger(__name__)

_RETRY = Backoff(first_seconds=1.0, longest_seconds=60.0)
_STEADY_SECONDS = 10.0


class ActiveSubscriptions:
    """What is subscribed through one session: while there is anything, the server is not unused."""

    def __init__(self) -> None:
        self._streams = 0
        self._resources: set[object] = set()

    def __bool__(self) -> bool:
        return self._streams > 0 or bool(self._resources)

    @contextmanager
    def track(self, request: UpstreamRequest) -> Iterator[None]:
        """Follow a request: a stream is listened to until it ends, a resource until it is unsubscribed."""
        uri = (request.params or {}).get("uri")
        if request.is_listening:
            self._streams += 1
        elif request.method == "resources/unsubscribe":
            self._resources.discard(uri)
        try:
            yield
        finally:
            if request.is_listening:
                self._streams -= 1
        if request.method == "resources/subscribe":
            self._resources.add(uri)


async def listen(peer: Peer, info: SessionInfo, era: ProtocolEra) -> None:
    """Subscribe to the lists that a server of the modern era says may change.

    A modern server speaks only when it is listened to. A subscription that ends is followed by another; a server that
    refuses is not asked again. The notifications go the way of all others.
    """
    wanted = _changing_lists(info)
    failures = 1
    while wanted and info.era == "modern":
        begun = time.monotonic()
        request = UpstreamRequest(SUBSCRIPTIONS_LISTEN, {"notifications": wanted}, timeout=math.inf)
        try:
            await peer.request(request, era)
        except UpstreamReplyError as error:
            logger.debug("no subscription: %s", error)
            return
        except UpstreamError as error:
            logger.debug("subscription lost: %s", error)
        steady = time.monotonic() - begun > _STEADY_SECONDS
        failures = 1 if steady else failures + 1
        await anyio.sleep(_RETRY.delay(failures))


def _changing_lists(info: SessionInfo) -> Message:
    lists = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
    return {
        flag: True
        for name, flag in lists.items()
        if isinstance(info.capabilities.get(name), dict) and info.capabilities[name].get("listChanged")
    }
