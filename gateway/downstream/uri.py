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


def uri_space(uri: str) -> str:
    """The namespace of an address, scheme and authority: `https://example.com`, `file://`, or `note:` without one."""
    scheme, _, rest = uri.partition(":")
    if not rest.startswith("//"):
        return f"{scheme.lower()}:"
    return f"{scheme.lower()}://{rest[2:].partition('/')[0].lower()}"


def template_space(template: str) -> str | None:
    """The one namespace of a URI template's expansions; None where its expressions may reach into several."""
    literal, expression, _ = template.partition("{")
    _, colon, rest = literal.partition(":")
    is_open = not colon or (expression and rest in ("", "/")) or (rest.startswith("//") and "/" not in rest[2:])
    return None if is_open and expression else uri_space(literal)


def uri_scheme(uri: str) -> str:
    """What kind of address it is: the part before the first colon."""
    return uri.partition(":")[0].lower()
