"""Hearing of changed lists from a server of the modern era, which speaks only when it is listened to."""

from __future__ import annotations

import logging
import math

import anyio

from gateway.errors import UpstreamError, UpstreamReplyError
from gateway.upstream.envelope import Envelope
from gateway.upstream.message import Message
from gateway.upstream.negotiation import SessionInfo
from gateway.upstream.peer import Peer

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0
_STEADY_SECONDS = 10.0


async def listen(peer: Peer, info: SessionInfo, envelope: Envelope) -> None:
    """Subscribe to the lists that the server says may change, and again whenever the subscription ends.

    A server that refuses is not asked again. The notifications go the way of all others.
    """
    wanted = _wanted(info)
    delay = _FIRST_RETRY_SECONDS
    while wanted and info.era == "modern":
        begun = anyio.current_time()
        params, headers = envelope.wrap("subscriptions/listen", {"notifications": wanted}, None)
        try:
            await peer.request("subscriptions/listen", params, headers, timeout=math.inf, background=True)
        except UpstreamReplyError as error:
            logger.debug("no subscription: %s", error)
            return
        except UpstreamError as error:
            logger.debug("subscription lost: %s", error)
        steady = anyio.current_time() - begun > _STEADY_SECONDS
        delay = _FIRST_RETRY_SECONDS if steady else min(delay * 2, _LAST_RETRY_SECONDS)
        await anyio.sleep(delay)


def _wanted(info: SessionInfo) -> Message:
    lists = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
    return {
        flag: True
        for name, flag in lists.items()
        if isinstance(info.capabilities.get(name), dict) and info.capabilities[name].get("listChanged")
    }
