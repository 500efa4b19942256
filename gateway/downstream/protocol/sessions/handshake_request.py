"""A request in a handshake session, freed from the SDK: how its client is told and asked things meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

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
from gateway.downstream.protocol.sessions.client_sessions import LiveSession, declared_capabilities

Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]
GetContext: TypeAlias = Callable[[], Awaitable["Context | None"]]
"""Gives what a client is told and asked things through while its request is answered; None where it is too late."""


class _RawMessage(BaseModel):
    """A message whose params the SDK is to leave as they are."""

    method: str
    params: dict[str, Any] | None = None


class _RawResult(RootModel[dict[str, Any]]):
    """A result that is taken as it is."""


class SessionState(Protocol):
    """What has to be known of a session to answer in it: what its client can do, and the least severe log level that it
    wants to hear.
    """

    @property
    def id(self) -> str: ...

    @property
    def log_level(self) -> str | None: ...

    @property
    def capabilities(self) -> Mapping[str, Any]: ...


def from_handshake(context: Context, caller: Caller, live: LiveSession | None) -> ClientRequest:
    """The request of `context`, made by `caller` in the session `live`, None without."""

    async def get_context() -> Context:
        return context

    accepts_events = context.request is not None and bool(context.request.scope["state"]["accepted"].events)
    params, capabilities = context.params or {}, declared_capabilities(context.session)
    return _told_through(get_context, caller, live, context.method, params, capabilities, accepts_events)


def session_request(
    live: LiveSession, method: str, params: Mapping[str, Any], accepts_events: bool, get_context: GetContext
) -> ClientRequest:
    """A request in the session `live` for which the SDK has no context, and gets one where something is to be said."""
    return _told_through(get_context, live.caller, live, method, params, live.capabilities, accepts_events)


def handshake_request(
    caller: Caller,
    session: SessionState | None,
    method: str,
    params: Mapping[str, Any],
    capabilities: Mapping[str, Any],
    *,
    on_progress: OnProgress,
    on_notification: OnNotification,
    ask_client: AskClient | None,
    notify_session: OnNotification | None,
) -> ClientRequest:
    """A request in `session`, whose client is told and asked things as the callables do it, as far as it wants that."""
    meta = params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, Mapping) else None

    async def notify(method: str, params: dict[str, Any]) -> None:
        if is_severe_enough(params.get("level"), None if session is None else session.log_level):
            await on_notification(method, params)

    return ClientRequest(
        caller=caller,
        method=method,
        params=_with_log_level(params, None if session is None else session.log_level),
        era="handshake",
        session_id=None if session is None else session.id,
        capabilities=capabilities,
        on_progress=None if token is None else on_progress,
        on_notification=notify,
        ask_client=ask_client,
        notify_session=notify_session,
    )


async def send_raw_notification(
    session: ServerSession, method: str, params: dict[str, Any], request_id: str | int | None = None
) -> None:
    """Say something to the client: on the stream of a request, or on that of the session."""
    message = _RawMessage(method=method, params=params)
    # The SDK dumps what it sends and reads nothing of it.
    await session.send_notification(message, request_id)  # type: ignore[arg-type]


def _told_through(
    get_context: GetContext,
    caller: Caller,
    live: LiveSession | None,
    method: str,
    params: Mapping[str, Any],
    capabilities: Mapping[str, Any],
    accepts_events: bool,
) -> ClientRequest:
    return handshake_request(
        caller,
        live,
        method,
        params,
        capabilities,
        on_progress=_progress_reporter(get_context),
        on_notification=_log_sender(get_context),
        # A question goes out on the stream of its request.
        ask_client=_client_asker(get_context) if accepts_events else None,
        notify_session=None if live is None else session_notifier(live),
    )


def session_notifier(live: LiveSession) -> OnNotification:
    """Says something to the client of `live` beside its requests."""

    async def notify(method: str, params: dict[str, Any]) -> None:
        await live.notify(lambda session: send_raw_notification(session, method, params))

    return notify


def _with_log_level(params: Mapping[str, Any], level: str | None) -> Mapping[str, Any]:
    """A handshake client says once what it wants to hear; a modern server has to be told with each request."""
    meta = params.get("_meta")
    return {**params, "_meta": {LOG_LEVEL_META_KEY: level or "info", **(meta if isinstance(meta, Mapping) else {})}}


def _progress_reporter(get_context: GetContext) -> OnProgress:
    async def report_progress(progress: float, total: float | None, message: str | None) -> None:
        context = await get_context()
        if context is not None:
            await context.session.report_progress(progress, total, message)

    return report_progress


def _log_sender(get_context: GetContext) -> OnNotification:
    async def notify(method: str, params: dict[str, Any]) -> None:
        context = await get_context()
        if context is not None:
            await send_raw_notification(context.session, method, params, context.request_id)

    return notify


def _client_asker(get_context: GetContext) -> AskClient:
    async def ask_client(method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = _RawMessage(method=method, params=params or None)
        context = await get_context()
        if context is None:
            raise has_left()
        metadata = ServerMessageMetadata(related_request_id=context.request_id)
        try:
            result = await context.session.send_request(message, _RawResult, metadata=metadata)  # type: ignore[arg-type]
        except NoBackChannelError:
            raise has_left() from None
        except ValidationError:
            raise MCPError(code=INTERNAL_ERROR, message=f"The client's answer to {method} is not valid.") from None
        return result.root

    return ask_client


def has_left() -> MCPError:
    return MCPError(code=INTERNAL_ERROR, message="The client has left before it was asked.")
