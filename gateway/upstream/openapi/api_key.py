"""The key of an API, where its document says that it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from gateway.upstream.credential import Bearer, Credential
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
    declared = (document.values.get("components") or {}).get("securitySchemes") or {}
    schemes = [document.dereference(scheme) for scheme in declared.values()]
    schemes = [scheme for scheme in schemes if isinstance(scheme, Mapping)]
    if any(_takes_tokens(scheme) for scheme in schemes):
        return None
    for scheme in schemes:
        if scheme.get("type") == "apiKey" and scheme.get("in") in ("header", "query", "cookie"):
            return OpenApiKey(scheme["in"], str(scheme.get("name")), credential.token)
    return None


def _takes_tokens(scheme: Mapping[str, object]) -> bool:
    kind = scheme.get("type")
    return kind in ("oauth2", "openIdConnect") or (
        kind == "http" and str(scheme.get("scheme")).lower() not in ("basic", "digest")
    )
