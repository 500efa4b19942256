"""Stylesheet and scripts, served compressed under addresses that name their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

STATIC_PATH = "/admin/static"

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent: as it is, and compressed by gzip."""

    media_type: str
    content: bytes
    compressed: bytes


class Assets:
    """The files of the folder `static`, read once."""

    def __init__(self) -> None:
        self._by_path: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for file in (resources.files("gateway.admin.web") / "static").iterdir():
            stem, dot, ending = file.name.rpartition(".")
            if dot + ending not in _TYPES:
                continue
            content = file.read_bytes()
            path = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
            self._by_path[path] = Asset(_TYPES[dot + ending], content, gzip.compress(content, 9, mtime=0))
            self._urls[file.name] = f"{STATIC_PATH}/{path}"

    def url(self, name: str) -> str:
        """The address of a file of the folder. Raises KeyError for one that is not there."""
        return self._urls[name]

    async def serve(self, request: Request) -> Response:
        """The file at an address; its content never changes, so it is kept for a year."""
        asset = self._by_path.get(request.path_params["path"])
        if asset is None:
            return Response("There is no such file.", 404, media_type="text/content")
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.compressed, headers=headers, media_type=asset.media_type)
        return Response(asset.content, headers=headers, media_type=asset.media_type)
