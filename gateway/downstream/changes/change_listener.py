"""Those who listen for changes: handshake sessions, and the streams of modern clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
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

ListChange: TypeAlias = "ToolsListChanged | PromptsListChanged | ResourcesListChanged"


@dataclass(frozen=True, slots=True)
class KnownLists:
    """The lists as a listener knows them: that of tools by its digest, the others by what is known of their parts."""

    tools: bytes
    prompts: ListSnapshot
    resources: ListSnapshot


@dataclass(slots=True, eq=False)
class ChangeListener:
    """One who is notified of changes; `get_caller` gives whose it is now, `known` is None until it has been added.

    `is_stream` says that a subscriptions/listen request is held open for it alone.
    """

    get_caller: Callable[[], Caller]
    notify: Callable[[ListChange], Awaitable[None]]
    close: Callable[[], None]
    is_stream: bool
    known: KnownLists | None = None


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

    def listener(self, get_caller: Callable[[], Caller]) -> ChangeListener:
        """The stream as one who is notified of changes of the lists of a caller."""
        return ChangeListener(get_caller, self.publish, self.close, is_stream=True)
