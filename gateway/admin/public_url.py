"""The gateway's address as browsers have it: as the settings say, else as the request does."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.edge.root_path import root_path_of


class PublicUrl:
    """`admin.public_url`, which is empty where nothing stands before the gateway."""

    def __init__(self, configured: str) -> None:
        self._configured = urlsplit(configured)

    @property
    def host(self) -> str:
        """The configured host and port in lower case; empty where none is configured."""
        return self._configured.netloc.lower()

    def base(self, request: Request) -> str:
        """Scheme and host, and the path below which the gateway is, without a slash at the end."""
        return (
            self._configured.geturl().rstrip("/")
            or f"{request.url.scheme}://{request.url.netloc}{root_path_of(request.scope)}"
        )

    def is_https(self, request: Request) -> bool:
        """Whether the browser has come by https, be it to a proxy before the gateway."""
        return request.url.scheme == "https" or self._configured.scheme == "https"
