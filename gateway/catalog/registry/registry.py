"""A registry of MCP servers: any that speaks `GET /v0.1/servers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import NotFoundError, RegistryError
from gateway.json_codec import decode

_SECONDS = 20.0
_MAX_BYTES = 4 * 1024 * 1024
_MAX_REDIRECTS = 3
_RESULTS = 30


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One version of a server as a registry lists it; `document` is its server.json."""

    name: str
    version: str
    description: str
    document: Mapping[str, Any]


class Registry:
    """Asks one registry."""

    def __init__(self, url: str) -> None:
        """Raises RegistryError for an address that is none."""
        self._url = url.rstrip("/")
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError("registry.url has to begin with https:// or http:// and name a host.")

    async def search(self, words: str) -> list[RegistryEntry]:
        """The newest versions of servers whose names have `words` in them, at most 30. Raises RegistryError."""
        query = {"search": words, "version": "latest", "limit": str(_RESULTS)}
        answer = await self._get("/v0.1/servers", query)
        entries = answer.get("servers") if isinstance(answer, Mapping) else None
        if not isinstance(entries, list):
            raise RegistryError(f"The registry at {self._host} answers without a list of servers; check registry.url.")
        found = [_read_entry(entry) for entry in entries]
        return [server for server in found if server is not None]

    async def get(self, name: str, version: str = "latest") -> RegistryEntry:
        """One version of a server. Raises NotFoundError and RegistryError."""
        answer = await self._get(f"/v0.1/servers/{quote(name, safe='')}/versions/{quote(version, safe='')}", {})
        server = _read_entry(answer)
        if server is None:
            raise RegistryError(f"The registry at {self._host} answers without a server; check registry.url.")
        return server

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc.rpartition("@")[2]

    async def _get(self, path: str, query: Mapping[str, str]) -> Any:
        client = BoundedHttpClient(total_seconds=_SECONDS, max_bytes=_MAX_BYTES, max_redirects=_MAX_REDIRECTS)
        try:
            async with client as http:
                response = await http.get(self._url + path, params=query)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
            raise RegistryError(
                f"The registry at {self._host} cannot be reached, or does not answer in time; try again later."
            ) from None
        if response.status_code == 404:
            raise NotFoundError(f"The registry at {self._host} has no such server or version; search it for the name.")
        try:
            if response.status_code == 200:
                return decode(response.content)
        except ValueError:
            pass
        raise RegistryError(
            f"The registry at {self._host} answers with HTTP {response.status_code} and no JSON; check registry.url."
        )


def _read_entry(entry: object) -> RegistryEntry | None:
    """An entry with the server inside of it, as it is now, or the server itself, as it once was."""
    document = entry.get("server", entry) if isinstance(entry, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        return None
    version, description = document.get("version"), document.get("description")
    return RegistryEntry(
        document["name"],
        version if isinstance(version, str) else "",
        description if isinstance(description, str) else "",
        document,
    )
