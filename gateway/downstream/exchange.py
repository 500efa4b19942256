"""One request of a client, freed from transport and protocol era."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.access.caller import Caller

OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who asks for what. `params` is as the client sent it, not validated.

    `session_id` is that of a handshake session, None without; `on_progress` passes progress on to the client, None
    where it asked for none.
    """

    caller: Caller
    method: str
    params: Mapping[str, Any]
    session_id: str | None = None
    on_progress: OnProgress | None = None


class Method(Protocol):
    """Answers one method: a result as JSON goes over the wire.

    Raises MCPError for a JSON-RPC error of its own, and ModelGateError for what went wrong here.
    """

    async def __call__(self, exchange: Exchange) -> dict[str, Any]: ...
