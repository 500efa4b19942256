"""A request in a handshake session, freed from the SDK: how its client is told and asked things meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import INTERNAL_ERROR, LOG_LEVEL_META_KEY
from pydantic import BaseModel, RootModel, ValidationError

from gateway.access.caller import Caller
from gateway.downstream.client_request import (
    AskClient,
    ClientRequest,
    OnNotification,
    OnProgress,
    is_severe_enough,
)
from gateway.downstream.protocol.client_sessions import LiveSession

Context = ServerRequestContext[dict[str, Any], Any]


class _RawMessage(BaseModel):
    """A message whose params the SDK is to leave as they are."""

    method: str
    params: dict[str, Any] | None = None


class _RawResult(RootModel[dict[str, Any]]):
    """A result that is taken as it is."""


def from_handshake(context: Context, caller: Caller, live: LiveSession | None) -> ClientRequest:
    """The request of `context`, made by `caller` in the session `live`, None without."""
    declared = context.session.client_capabilities
    return ClientRequest(
        caller=caller,
        method=context.method,
        params=_with_log_level(context.params or {}, live),
        era="handshake",
        session_id=live.id if live is not None else None,
        capabilities={} if declared is None else declared.model_dump(mode="json", by_alias=True, exclude_none=True),
        on_progress=_progress_reporter(context),
        on_notification=_log_sender(context, live),
        # A question goes out on the stream of its request.
        ask_client=_client_asker(context) if _takes_events(context) else None,
    )


async def send_raw_notification(
    session: ServerSession, method: str, params: dict[str, Any], request_id: str | int | None = None
) -> None:
    """Say something to the client: on the stream of a request, or on that of the session."""
    message = _RawMessage(method=method, params=params)
    # The SDK dumps what it sends and reads nothing of it.
    await session.send_notification(message, request_id)  # type: ignore[arg-type]


def _with_log_level(params: Mapping[str, Any], live: LiveSession | None) -> Mapping[str, Any]:
    """A handshake client says once what it wants to hear; a modern server has to be told with each request."""
    meta = params.get("_meta")
    level = live.log_level if live is not None else None
    return {**params, "_meta": {LOG_LEVEL_META_KEY: level or "info", **(meta if isinstance(meta, Mapping) else {})}}


def _progress_reporter(context: Context) -> OnProgress | None:
    if context.meta is None or context.meta.get("progress_token") is None:
        return None

    async def report_progress(progress: float, total: float | None, message: str | None) -> None:
        await context.session.report_progress(progress, total, message)

    return report_progress


def _log_sender(context: Context, live: LiveSession | None) -> OnNotification:
    async def notify(method: str, params: dict[str, Any]) -> None:
        if is_severe_enough(params.get("level"), live.log_level if live is not None else None):
            await send_raw_notification(context.session, method, params, context.request_id)

    return notify


def _takes_events(context: Context) -> bool:
    return context.request is not None and bool(context.request.scope["state"]["accepted"].events)


def _client_asker(context: Context) -> AskClient:
    metadata = ServerMessageMetadata(related_request_id=context.request_id)

    async def ask_client(method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = _RawMessage(method=method, params=params or None)
        try:
            result = await context.session.send_request(message, _RawResult, metadata=metadata)  # type: ignore[arg-type]
        except NoBackChannelError:
            raise MCPError(code=INTERNAL_ERROR, message="The client has left before it was asked.") from None
        except ValidationError:
            raise MCPError(code=INTERNAL_ERROR, message=f"The client's answer to {method} is not valid.") from None
        return result.root

    return ask_client
