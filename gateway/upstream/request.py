"""One request on its way to an upstream server, and what its caller takes part in meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.json_codec import Message
from gateway.upstream.credentials.personal import PersonCredential

SUBSCRIPTIONS_LISTEN = "subscriptions/listen"
"""The method of a request whose stream carries notifications for as long as it is open."""

ProgressCallback: TypeAlias = Callable[[float, "float | None", "str | None"], Awaitable[None]]
"""Called with `(progress, total, message)` of a call."""

NotificationCallback: TypeAlias = Callable[[str, Message], Awaitable[None]]
"""Called with `(method, params)` of a notification."""

ServerRequestHandler: TypeAlias = Callable[[str, Message], Awaitable[Message]]
"""Asked `(method, params)` by a server; returns the result, or raises MCPError or ModelGateError to refuse."""


@dataclass(frozen=True, slots=True)
class CallHooks:
    """What the caller of one request takes part in while it waits.

    The first two run in the caller's own task, in the order of arrival and before the reply is returned; a caller that
    is slower than the server misses the oldest of more than 256 waiting events, or of more than 4 Mi characters.
    `on_server_request` answers what the server asks meanwhile: elicitation, sampling, roots.
    """

    on_progress: ProgressCallback | None = None
    on_notification: NotificationCallback | None = None
    on_server_request: ServerRequestHandler | None = None


NO_HOOKS = CallHooks()


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request, the same from whoever makes it down to the connection, where its protocol era encodes it.

    `params` are passed on, their `_meta` without what each hop says for itself. `session_key` says whose request it is,
    None for nobody's, and chooses the session where each client has its own. `timeout` is in seconds, None for the call
    timeout of the server: it covers waiting for a call slot, connecting and the call, and starts anew with each
    progress notification, which a server sends where `hooks` ask for progress. `capabilities` replace those of the
    session for this request where the era allows it. A request that is not `cancellable` is given up without telling
    the server. `credential` lets in the person whose request it is, at servers that let each in as who they are.
    """

    method: str
    params: Mapping[str, Any] | None = None
    session_key: str | None = None
    timeout: float | None = None
    hooks: CallHooks = NO_HOOKS
    capabilities: Message | None = None
    cancellable: bool = True
    credential: PersonCredential | None = field(default=None, repr=False)

    @property
    def is_listening(self) -> bool:
        """Whether it is a stream that is listened to, and no call: nothing that the server says belongs to it."""
        return self.method == SUBSCRIPTIONS_LISTEN
