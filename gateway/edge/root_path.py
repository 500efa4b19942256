"""The path below which a proxy offers the gateway, as https://host/gw/."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import SettingsError

ROOT_PATH = "modelgate.root_path"
"""Under this key a request's scope has the path that it came by, without a slash at its end; none: it is the root."""

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,10}")
_ADDRESS_HEADERS = (b"location", b"hx-redirect", b"hx-location", b"hx-push-url", b"hx-replace-url")


def root_path_of(scope: Scope) -> str:
    """The path before all paths of the gateway in this request, as its client has it; empty for the root."""
    path: str = scope.get(ROOT_PATH, "")
    return path


def parse_root_path(text: str) -> str:
    """`text` without a slash at its end. Raises SettingsError for what is no such path."""
    path = text.rstrip("/")
    if path and not is_root_path(path):
        raise SettingsError(f"server.root_path: {text!r} is no path; write it as /gw.")
    return path


def is_root_path(path: str) -> bool:
    """Whether `path` can stand before all others: plain segments, none of which leads up."""
    return _PREFIX.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))


class RootPath:
    """ASGI middleware: whether a proxy takes the path off or not, what is behind this comes upon paths without it, and
    what leads elsewhere in the gateway is sent with it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        """`root_path` holds where no trusted proxy names another one."""
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        root_path = scope.get(ROOT_PATH, self._root_path)
        if scope["type"] != "http" or not root_path:
            await self._app(scope, receive, send)
            return

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, _prefixed(root_path, name, value)) for name, value in message.get("headers", ())]
                message = {**message, "headers": headers}
            await send(message)

        await self._app({**_without(root_path, scope), ROOT_PATH: root_path}, receive, send_prefixed)


def _without(root_path: str, scope: Scope) -> Scope:
    path: str = scope["path"]
    if path != root_path and not path.startswith(f"{root_path}/"):
        return scope
    stripped = {**scope, "path": path[len(root_path) :] or "/"}
    raw_path = scope.get("raw_path")
    if isinstance(raw_path, bytes) and raw_path.startswith(root_path.encode()):
        stripped["raw_path"] = raw_path[len(root_path) :] or b"/"
    return stripped


def _prefixed(root_path: str, name: bytes, value: bytes) -> bytes:
    is_path = value.startswith(b"/") and not value.startswith(b"//")
    return root_path.encode() + value if is_path and name.lower() in _ADDRESS_HEADERS else value
