"""Addresses of resources: as the upstream gave them, and qualified by server where two servers have the same."""

from __future__ import annotations

from urllib.parse import quote, unquote

_UI_SCHEME = "ui://"
_QUALIFIER = "modelgate"


def qualify_uri(slug: str, uri: str) -> str:
    """An address for `uri` of the server `slug` that no other server has.

    A `ui://` address stays one, for clients know by it that the resource is an app. The braces of a template stay
    readable, so that a client can fill them in.
    """
    scheme = f"{_UI_SCHEME}{_QUALIFIER}" if uri.startswith(_UI_SCHEME) else f"{_QUALIFIER}:/"
    return f"{scheme}/{slug}/{quote(uri, safe='{}*+,;')}"


def parse_qualified_uri(uri: str) -> tuple[str, str] | None:
    """Slug and upstream's own address, or None where `uri` is not qualified."""
    for scheme in (f"{_UI_SCHEME}{_QUALIFIER}/", f"{_QUALIFIER}://"):
        if uri.startswith(scheme):
            slug, slash, rest = uri[len(scheme) :].partition("/")
            return (slug, unquote(rest)) if slug and slash and rest else None
    return None


def uri_scheme(uri: str) -> str:
    """What kind of address it is: the part before the first colon."""
    return uri.partition(":")[0].lower()
