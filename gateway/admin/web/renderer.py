"""Templates made into responses, with headers that let a page load nothing but the gateway's own files."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.web.assets import Assets
from gateway.admin.web.presentation import formatting
from gateway.edge.root_path import root_path_of

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_THEMES = ("light", "dark")
_MIN_COMPRESSED_BYTES = 1_000


class PageRenderer:
    """Renders templates of the folder `templates`, every value escaped."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway.admin.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._assets = assets
        self._environment.filters.update(
            display_text=formatting.display_text,
            relative_time=formatting.relative_time,
            format_number=formatting.format_number,
            format_milliseconds=formatting.format_milliseconds,
            format_count=formatting.format_count,
            format_json=formatting.format_json,
            json_word=formatting.json_word,
        )

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text of a template."""
        return self._environment.get_template(template).render(values)

    def response(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A page, or a fragment of one, as a response."""
        theme = request.cookies.get("modelgate_theme")
        root = root_path_of(request.scope)
        text = self.render(
            template,
            {
                "theme": theme if theme in _THEMES else None,
                "root": root,
                "asset": lambda name: root + self._assets.url(name),
                **values,
            },
        )
        return compressed_response(request, text.encode(), "text/html", _HEADERS, status)


def compressed_response(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str], status: int = 200
) -> Response:
    """`body`, compressed where that is worth it and the browser takes it.

    Pages hold a token beside what was asked for. That their length could betray it needs a foreign page that makes a
    browser ask with its session, which the cookie's SameSite keeps it from.
    """
    all_headers = {**headers, "Vary": "Accept-Encoding"}
    if len(body) > _MIN_COMPRESSED_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzip.compress(body, 5), status, {**all_headers, "Content-Encoding": "gzip"}, media_type)
    return Response(body, status, all_headers, media_type)
