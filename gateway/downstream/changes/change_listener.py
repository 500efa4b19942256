"""Those who listen for changes: handshake sessions, and the streams of modern clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged

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
