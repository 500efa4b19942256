"""Where the operations of an API are: addresses of an operation, of its path, and of the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from gateway.errors import InvalidInputError
from gateway.upstream.openapi.document import OpenApiDocument
from gateway.upstream.spec import ServerSpec

Origin = tuple[str, str, "int | None"]
"""Scheme, host and port."""


def url_origin(url: httpx2.URL | str) -> Origin:
    """What secrets of a URL are for."""
    parsed = httpx2.URL(url) if isinstance(url, str) else url
    return parsed.scheme, parsed.host, parsed.port


def declared_address(servers: Any) -> str | None:
    """The first of the `servers` that a document, a path or an operation declares, its variables at their defaults.

    None where there is none. Raises InvalidInputError for one that is not what OpenAPI says.
    """
    if not servers:
        return None
    first = servers[0] if isinstance(servers, list) else None
    url = first.get("url") if isinstance(first, Mapping) else None
    if not isinstance(first, Mapping) or not isinstance(url, str):
        raise InvalidInputError("its servers do not begin with an object that has a url")
    variables = first.get("variables")
    for variable, values in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(values, Mapping) and values.get("default") is not None:
            url = url.replace("{" + str(variable) + "}", str(values["default"]))
    return url


class ApiAddresses:
    """The addresses below which the operations of one document are requested."""

    def __init__(self, spec: ServerSpec, document: OpenApiDocument) -> None:
        self._spec = spec
        self._document = document
        self._has_secrets = bool(spec.headers or spec.credential or spec.certificate)

    def of_operation(self, declared: str | None) -> httpx2.URL:
        """The address of an operation that declares one, or of the API. Raises InvalidInputError.

        Secrets are for the address that was set by hand, else for where the document is, else for where it says that
        the API is; an operation elsewhere cannot be had with them.
        """
        base = self._of_api() if declared is None else self._of_declared(declared)
        if self._has_secrets and url_origin(base) != url_origin(self._trusted()):
            raise InvalidInputError(
                f"The OpenAPI document of {self._spec.name} says that it is at {base.host}, which is not where "
                f"{'the document' if self._spec.url is None and self._spec.document_url else 'the API'} is; "
                "set the address by hand, so that secrets go nowhere else."
            )
        return base

    def _trusted(self) -> httpx2.URL:
        by_hand = self._spec.url or self._spec.document_url
        return httpx2.URL(by_hand) if by_hand is not None else self._of_api()

    def _of_api(self) -> httpx2.URL:
        """Where the API is: what was set by hand, else the first server that the document names."""
        if self._spec.url is not None:
            return httpx2.URL(self._spec.url)
        return self._absolute(declared_address(self._document.values.get("servers")) or "/", self._spec.document_url)

    def _of_declared(self, declared: str) -> httpx2.URL:
        try:
            relative = httpx2.URL(declared).is_relative_url
        except httpx2.InvalidURL:
            relative = False
        nearby = self._spec.url or self._spec.document_url
        return self._absolute(declared, str(self._of_api()) if relative and nearby is None else nearby)

    def _absolute(self, declared: str, relative_to: str | None) -> httpx2.URL:
        try:
            url = httpx2.URL(declared) if relative_to is None else httpx2.URL(relative_to).join(declared)
        except httpx2.InvalidURL:
            url = httpx2.URL("")
        # Braces are left where a variable has no value.
        if url.scheme not in ("http", "https") or not url.host or "{" in declared:
            raise InvalidInputError(
                f"The OpenAPI document of {self._spec.name} does not say where the API is; set its address by hand."
            )
        return url
