"""Secrets of upstream servers, sealed at rest with AES-256-GCM."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import SettingsError
from gateway.vault.keys import KeyRing

_NONCE_BYTES = 12
_FORM = b"mg2:"
_KEY_ID_BYTES = 8
HEADER_BYTES = len(_FORM) + _KEY_ID_BYTES
"""How much of a sealed text says which form it has, and which key it was sealed with."""


class Vault:
    """Seals and opens secrets. Each sealed text is bound to what it belongs to, and names the key that opens it."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    @property
    def header(self) -> bytes:
        """What every text begins with that is sealed now."""
        return _header(self._ring.read()[0])

    def derive(self, purpose: bytes) -> tuple[bytes, ...]:
        """Keys for something else than sealing, one of each key of the ring, the one in force first."""
        return tuple(hmac.digest(key, purpose, "sha256") for key in self._ring.read())

    def seal(self, secret: dict[str, Any], owner: str) -> bytes:
        """`secret` as bytes that only the key in force opens, and only for the same `owner`."""
        key = self._ring.read()[0]
        header, nonce = _header(key), os.urandom(_NONCE_BYTES)
        return header + nonce + AESGCM(key).encrypt(nonce, json.dumps(secret).encode(), header + owner.encode())

    def open(self, sealed: bytes, owner: str) -> dict[str, Any]:
        """What was sealed. Raises SettingsError when it was sealed with another key, or for another owner."""
        header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
        for key in self._ring.read():
            if header == _header(key):
                return _decrypt(key, rest, header + owner.encode(), owner)
        raise _sealed_otherwise(owner)

    def open_as_in_0_1(self, sealed: bytes, owner: str) -> dict[str, Any]:
        """What 0.1 sealed, which named no key. Raises SettingsError as `open`."""
        for key in self._ring.read():
            try:
                return _decrypt(key, sealed, owner.encode(), owner)
            except SettingsError:
                continue
        raise _sealed_otherwise(owner)


def fingerprints(ring: KeyRing) -> list[str]:
    """By what sealed texts name the keys of a ring, as hex: the one that seals, then those that only open."""
    return [_header(key)[len(_FORM) :].hex() for key in ring.read()]


def _header(key: bytes) -> bytes:
    return _FORM + hashlib.sha256(b"modelgate encryption key" + key).digest()[:_KEY_ID_BYTES]


def _decrypt(key: bytes, sealed: bytes, associated: bytes, owner: str) -> dict[str, Any]:
    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except (InvalidTag, ValueError):
        raise _sealed_otherwise(owner) from None
    opened: dict[str, Any] = json.loads(plain)
    return opened


def _sealed_otherwise(owner: str) -> SettingsError:
    return SettingsError(
        f"The {owner} were sealed with another encryption key; set MODELGATE_ENCRYPTION_KEY to that key, or remove the "
        "server and add it again."
    )
