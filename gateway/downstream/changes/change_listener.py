"""Those who listen for changes: handshake sessions, and the streams of modern clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from gateway.access.caller import Caller
from gateway.downstream.lists.list_snapshot import ListSnapshot
from gateway.downstream.protocol.client_sessions import LiveSession

Event: TypeAlias = "ToolsListChanged | PromptsListChanged | ResourcesListChanged"


@dataclass(frozen=True, slots=True)
class View:
    """The lists as a listener knows them: that of tools by its digest, the others by what is known of their parts."""

    tools: bytes
    prompts: ListSnapshot
    resources: ListSnapshot


@dataclass(slots=True, eq=False)
class ChangeListener:
    """One who is told of changes; `caller` gives whose it is now, `view` is None until it has joined.

    `is_stream` says that a subscriptions/listen request is held open for it alone.
    """

    caller: Callable[[], Caller]
    tell: Callable[[Event], Awaitable[None]]
    close: Callable[[], None]
    is_stream: bool
    view: View | None = None


class ListenStream:
    """One subscriptions/listen request, with a bus of its own: what is for one client is told to no other."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._handler = ListenHandler(self._bus)

    async def serve(
        self, context: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Answer the request, which ends when the client leaves or the stream is closed."""
        return await self._handler(context, params)

    async def publish(self, event: ServerEvent) -> None:
        """Tell the client, if it asked for events of this kind."""
        await self._bus.publish(event)

    def close(self) -> None:
        """End the stream once all is said."""
        self._handler.close()

    def listener(self, caller: Callable[[], Caller]) -> ChangeListener:
        """The stream as one who is told of changes of the lists of `caller`."""
        return ChangeListener(caller, self.publish, self.close, is_stream=True)


def session_listener(live: LiveSession) -> ChangeListener:
    """A handshake session as one who is told of changes."""

    async def tell(event: Event) -> None:
        await live.tell(_SAYINGS[type(event)])

    return ChangeListener(lambda: live.caller, tell, lambda: None, is_stream=False)


_SAYINGS: dict[type[Event], Callable[[ServerSession], Awaitable[None]]] = {
    ToolsListChanged: lambda session: session.send_tool_list_changed(),
    PromptsListChanged: lambda session: session.send_prompt_list_changed(),
    ResourcesListChanged: lambda session: session.send_resource_list_changed(),
}
