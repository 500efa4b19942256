"""What lets the gateway in at an HTTP API, hidden where an answer repeats it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

import httpx2

from gateway.masking import MIN_SECRET_CHARACTERS, SecretMask

_NO_SECRETS = ("accept", "content-", "user-agent", "host", "origin", "referer", "cache-control", "connection")


def build_secret_mask(sent: httpx2.Headers, configured: Mapping[str, str], key: str | None) -> SecretMask:
    """The values of `configured` headers and of the authorization that were `sent`, at least 8 characters each, and the
    API key, which may be shorter.
    """
    values = [value for name, value in configured.items() if not _is_public(name.lower())]
    if "authorization" in sent:
        values.append(sent["authorization"])
    parts = {part for value in values for part in _parts(value) if len(part) >= MIN_SECRET_CHARACTERS}
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
