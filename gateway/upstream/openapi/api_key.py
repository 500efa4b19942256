"""The key of an API, where its document says that it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import Bearer, Credential
from gateway.upstream.openapi.document import OpenApiDocument
from gateway.upstream.openapi.http_request import OpenApiRequest


@dataclass(frozen=True, slots=True)
class OpenApiKey:
    """A token that goes into a header, the query or a cookie (`location`) under `name`."""

    location: str
    name: str
    token: str = field(repr=False)

    def apply(self, request: OpenApiRequest) -> OpenApiRequest:
        """The request with the key."""
        if self.location == "query":
            separator = "&" if "?" in request.target else "?"
            return replace(request, target=f"{request.target}{separator}{urlencode({self.name: self.token})}")
        headers = dict(request.headers)
        if self.location == "header":
            headers[self.name] = self.token
        else:
            pair = f"{quote(self.name)}={quote(self.token)}"
            headers["cookie"] = f"{headers['cookie']}; {pair}" if "cookie" in headers else pair
        return replace(request, headers=headers)


def find_key(document: OpenApiDocument, credential: Credential | None) -> OpenApiKey | None:
    """The bearer token as a key, where the document knows keys and no tokens; None where it is to be sent as it is."""
    if not isinstance(credential, Bearer):
        return None
    schemes = list(_declared_schemes(document))
    if any(_takes_tokens(scheme) for scheme in schemes):
        return None
    for scheme in schemes:
        location, name = scheme.get("in"), scheme.get("name")
        if scheme.get("type") == "apiKey" and location in ("header", "query", "cookie") and isinstance(name, str):
            return OpenApiKey(str(location), name, credential.token)
    return None


def _declared_schemes(document: OpenApiDocument) -> Iterator[Mapping[str, object]]:
    """The security schemes that can be read; a broken one says nothing of the others."""
    components = document.values.get("components")
    declared = components.get("securitySchemes") if isinstance(components, Mapping) else None
    for scheme in declared.values() if isinstance(declared, Mapping) else ():
        with suppress(InvalidInputError):
            scheme = document.dereference(scheme)
            if isinstance(scheme, Mapping):
                yield scheme


def _takes_tokens(scheme: Mapping[str, object]) -> bool:
    kind = scheme.get("type")
    return kind in ("oauth2", "openIdConnect") or (
        kind == "http" and str(scheme.get("scheme")).lower() not in ("basic", "digest")
    )
