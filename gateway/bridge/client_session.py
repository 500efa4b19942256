"""What a client has said to its session that another session in its place has to hear, too."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.json_codec import Message

_SUBSCRIBE = "resources/subscribe"
_UNSUBSCRIBE = "resources/unsubscribe"
_SET_LEVEL = "logging/setLevel"


class ClientSession:
    """The session that `initialize` opened; `version` is what it agreed on, None while there is no session."""

    def __init__(self) -> None:
        self.initialize_request: Message | None = None
        self.version: str | None = None
        self._level: Message | None = None
        self._subscribed: dict[str, Message] = {}

    def start(self, initialize_request: Message) -> None:
        """The client starts over."""
        self.initialize_request, self.version, self._level = initialize_request, None, None
        self._subscribed.clear()

    def record_reply(self, request: Message, reply: Message) -> None:
        """Keep what the gateway has agreed to."""
        result = reply.get("result")
        if not isinstance(result, dict):
            return
        method, params = request["method"], request.get("params")
        if method == "initialize":
            version = result.get("protocolVersion")
            self.version = version if isinstance(version, str) else None
        elif method == _SET_LEVEL:
            self._level = request
        elif method in (_SUBSCRIBE, _UNSUBSCRIBE) and isinstance(params, dict) and isinstance(params.get("uri"), str):
            self._subscribed.pop(params["uri"], None)
            if method == _SUBSCRIBE:
                self._subscribed[params["uri"]] = request

    def requests_to_repeat(self) -> Iterator[Message]:
        """The requests to make again in a new session."""
        if self._level is not None:
            yield self._level
        yield from list(self._subscribed.values())
