"""What goes between the process that has a request for an upstream server and the one that has its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from gateway.errors import (
    GrantRefusedError,
    ModelGateError,
    RequestNotSentError,
    UpstreamBusyError,
    UpstreamDeadlineError,
    UpstreamError,
    UpstreamHttpError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.negotiation import SessionInfo
from gateway.upstream.status import ServerStatus

_PLAIN_ERRORS: Mapping[str, type[UpstreamError]] = {
    kind.__name__: kind
    for kind in (
        UpstreamUnavailableError,
        RequestNotSentError,
        UpstreamTimeoutError,
        UpstreamDeadlineError,
        UpstreamBusyError,
        UpstreamProtocolError,
    )
}


def request_to_wire(request: UpstreamRequest) -> Message:
    """A request without its hooks, of which it says only which there are."""
    hooks = request.hooks
    return {
        "method": request.method,
        "params": request.params,
        "session_key": request.session_key,
        "timeout": request.timeout,
        "capabilities": request.capabilities,
        "cancellable": request.cancellable,
        "hooks": [
            hooks.on_progress is not None,
            hooks.on_notification is not None,
            hooks.on_server_request is not None,
        ],
    }


def error_to_wire(error: ModelGateError | MCPError) -> Message:
    """An error as the other side raises it."""
    if isinstance(error, MCPError):
        return {"kind": "MCPError", "message": error.message, "code": error.code, "data": error.data}
    wire: Message = {"kind": type(error).__name__, "message": error.message}
    if isinstance(error, UpstreamError):
        wire["server"] = error.server
    if isinstance(error, UpstreamReplyError):
        wire |= {"code": error.code, "data": error.data}
    if isinstance(error, UpstreamHttpError):
        wire |= {"status": error.status, "said": error.said}
    if isinstance(error, GrantRefusedError):
        wire |= {"reason": error.reason, "temporary": error.temporary}
    return wire


def error_from_wire(wire: Message) -> ModelGateError | MCPError:
    """The error that `error_to_wire` was given; of a kind that only matters where it arose, the nearest one."""
    kind, message = wire.get("kind"), str(wire.get("message"))
    if kind == "MCPError":
        return MCPError(code=int(wire.get("code", INTERNAL_ERROR)), message=message, data=wire.get("data"))
    if "server" not in wire:
        return ModelGateError(message)
    server = str(wire["server"])
    if kind == "UpstreamReplyError":
        return UpstreamReplyError(server, wire["code"], message, wire.get("data"))
    if kind == "UpstreamHttpError":
        return UpstreamHttpError(server, message, wire["status"], wire.get("said", ""))
    if kind == "GrantRefusedError":
        # The version before says neither.
        return GrantRefusedError(
            server, message, str(wire.get("reason", "")), temporary=bool(wire.get("temporary", False))
        )
    return _PLAIN_ERRORS.get(str(kind), UpstreamUnavailableError)(server, message)


def status_to_wire(status: ServerStatus) -> Message:
    """How a server does."""
    seen = status.last_seen
    return {**asdict(status), "last_seen": None if seen is None else seen.isoformat()}


def status_from_wire(wire: Message) -> ServerStatus:
    """What `status_to_wire` was given."""
    seen: Any = wire.get("last_seen")
    return ServerStatus(
        **{**_known(ServerStatus, wire), "last_seen": None if seen is None else datetime.fromisoformat(seen)}
    )


def info_to_wire(info: SessionInfo | None) -> Message | None:
    """What a server said of itself."""
    return None if info is None else asdict(info)


def info_from_wire(wire: Message | None) -> SessionInfo | None:
    """What `info_to_wire` was given."""
    return None if wire is None else SessionInfo(**_known(SessionInfo, wire))


def _known(kind: type[ServerStatus | SessionInfo], wire: Message) -> Message:
    """What of `wire` this version knows: a member of a later one may say more."""
    return {each.name: wire[each.name] for each in fields(kind) if each.name in wire}
