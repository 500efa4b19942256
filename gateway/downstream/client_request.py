"""One request of a client, freed from transport and protocol era."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from gateway.access.caller import Caller
from gateway.downstream.serialized_result import SerializedResult

OnProgress: TypeAlias = Callable[[float, "float | None", "str | None"], Awaitable[None]]
OnNotification: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None]]
AskClient: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

Result: TypeAlias = "dict[str, Any] | SerializedResult"

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""How severe a log message is, from the least severe."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """Who asks for what. `params` is as the client sent it, not validated.

    `session_id` is that of a handshake session, None without. `capabilities` are what the client says it can do.
    `on_progress` and `on_notification` pass progress and log messages on to the client; None where it wants none.
    `ask_client` sends a request to a handshake client and returns its result; it raises MCPError where that refuses.
    `notify_session` says something to a handshake client after the request, for as long as its session lasts.
    """

    caller: Caller
    method: str
    params: Mapping[str, Any]
    era: Literal["oneshot", "handshake", "modern"] = "oneshot"
    session_id: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    on_progress: OnProgress | None = None
    on_notification: OnNotification | None = None
    ask_client: AskClient | None = None
    notify_session: OnNotification | None = None

    @property
    def upstream_session_key(self) -> str:
        """Whose upstream session is used where each client has its own: without a session, that of the caller."""
        return self.session_id or self.caller.identity


class MethodHandler(Protocol):
    """Answers one method: a result as JSON goes over the wire.

    Raises MCPError for a JSON-RPC error of its own, and ModelGateError for what went wrong here.
    """

    async def __call__(self, request: ClientRequest) -> Result: ...


def is_severe_enough(level: object, minimum: object) -> bool:
    """Whether a client that wants log messages from the level `minimum` on wants one of `level`.

    Levels that are unknown here are wanted.
    """
    if level not in LOG_LEVELS or minimum not in LOG_LEVELS:
        return True
    return LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(str(minimum))
