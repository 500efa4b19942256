"""The streams of modern clients that listen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ServerEvent
from mcp.shared.subscriptions import event_matches, event_to_notification
from mcp_types import (
    Notification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenResult,
)

from gateway.access.caller import Caller
from gateway.downstream.changes.change_listener import ChangeListener

logger = logging.getLogger(__name__)

_MAX_BUFFERED = 1_024


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """A task is as `state` says, which is what tasks/get has of it."""

    state: dict[str, Any]


StreamEvent: TypeAlias = "ServerEvent | TaskChanged"


class _TaskNotification(Notification[dict[str, Any], Literal["notifications/tasks"]]):
    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]


class ListenStream:
    """One subscriptions/listen request: first what is agreed upon, then what happens of that, until a side ends it.

    The SDK has a handler for such requests, which knows no tasks. The stream of a client that does not read ends; it
    listens again and asks for what it missed.
    """

    def __init__(self, wanted: SubscriptionFilter, task_ids: Sequence[str]) -> None:
        """`task_ids` are those of the wanted ones that there are."""
        self._accepted = SubscriptionFilter(
            tools_list_changed=wanted.tools_list_changed or None,
            prompts_list_changed=wanted.prompts_list_changed or None,
            resources_list_changed=wanted.resources_list_changed or None,
            resource_subscriptions=wanted.resource_subscriptions or None,
            **({"taskIds": list(task_ids)} if task_ids else {}),
        )
        self._uris = frozenset(wanted.resource_subscriptions or ())
        self._send, self._receive = anyio.create_memory_object_stream[StreamEvent](_MAX_BUFFERED)

    async def serve(self, context: ServerRequestContext[Any, Any]) -> SubscriptionsListenResult:
        """Answer the request, which ends when the client leaves or the stream is closed."""
        request_id = context.request_id
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: request_id}
        send = context.session.send_notification
        acknowledged = SubscriptionsAcknowledgedNotificationParams(notifications=self._accepted, _meta=meta)
        try:
            await send(SubscriptionsAcknowledgedNotification(params=acknowledged), related_request_id=request_id)
            async for event in self._receive:
                if isinstance(event, TaskChanged):
                    about: Any = _TaskNotification(params={**event.state, "_meta": meta})
                else:
                    about = event_to_notification(event, meta)
                await send(about, related_request_id=request_id)
        finally:
            self._send.close()
            self._receive.close()
        return SubscriptionsListenResult(_meta=meta)

    async def publish(self, event: StreamEvent) -> None:
        """Tell the client, if it asked for events of this kind."""
        if not isinstance(event, TaskChanged) and not event_matches(self._accepted, self._uris, event):
            return
        try:
            self._send.send_nowait(event)
        except anyio.WouldBlock:
            logger.warning("a client does not read what it listens to; its stream ends")
            self._send.close()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            # It has ended.
            return
        # A burst of events lets the stream be written in between.
        await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """End the stream once all is said."""
        self._send.close()

    def listener(self, get_caller: Callable[[], Caller]) -> ChangeListener:
        """The stream as one who is notified of changes of the lists of a caller."""
        return ChangeListener(get_caller, self.publish, self.close, is_stream=True)
