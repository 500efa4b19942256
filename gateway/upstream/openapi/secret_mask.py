"""What lets the gateway in at an HTTP API, hidden where an answer repeats it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2

MASK = "********"

# What is shorter stands in answers by chance.
_SHORTEST = 8
_NO_SECRETS = ("accept", "content-", "user-agent", "host", "origin", "referer", "cache-control", "connection")


class SecretMask:
    """Values that no caller may see."""

    def __init__(self, values: Iterable[str]) -> None:
        # What holds another goes first, else its rest would stay.
        self._values = sorted({value for value in values if value}, key=len, reverse=True)
        written = {form: None for value in self._values for form in _forms(value)}
        self._written = sorted((form.encode() for form in written), key=len, reverse=True)

    def mask_bytes(self, body: bytes) -> bytes:
        """An answer as it came, without them in the ways in which they are commonly written."""
        for written in self._written:
            body = body.replace(written, MASK.encode())
        return body

    def mask_json(self, value: Any) -> Any:
        """A decoded JSON value without them."""
        if isinstance(value, str):
            for secret in self._values:
                value = value.replace(secret, MASK)
            return value
        if isinstance(value, dict):
            return {self.mask_json(name): self.mask_json(part) for name, part in value.items()}
        return [self.mask_json(part) for part in value] if isinstance(value, list) else value


def build_secret_mask(sent: httpx2.Headers, configured: Mapping[str, str], key: str | None) -> SecretMask:
    """The values of `configured` headers and of the authorization that were `sent`, at least 8 characters each, and the
    API key, which may be shorter.
    """
    values = [value for name, value in configured.items() if not _is_public(name.lower())]
    if "authorization" in sent:
        values.append(sent["authorization"])
    parts = {part for value in values for part in _parts(value) if len(part) >= _SHORTEST}
    return SecretMask(parts | {key or ""})


def _is_public(name: str) -> bool:
    return name.startswith(_NO_SECRETS) or "version" in name


def _parts(value: str) -> Iterator[str]:
    """A header's value, and what of it is secret by itself: after a scheme, of a password, of a cookie."""
    yield value
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest.strip()
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(rest).decode().partition(":")[2]
        except (binascii.Error, UnicodeError):
            return
    for pair in value.split(";"):
        yield pair.partition("=")[2].strip()


def _forms(value: str) -> tuple[str, ...]:
    escaped = json.dumps(value, ensure_ascii=False)[1:-1]
    return value, escaped, escaped.replace("/", "\\/"), quote(value, safe=""), quote_plus(value)
