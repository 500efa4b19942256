"""Secrets of upstream servers, sealed at rest with AES-256-GCM."""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import SettingsError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_FILE = "encryption.key"


class Vault:
    """Seals and opens secrets with one key. Each sealed text is bound to what it belongs to."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, secret: dict[str, Any], owner: str) -> bytes:
        """`secret` as bytes that only this key opens, and only for the same `owner`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, json.dumps(secret).encode(), owner.encode())

    def open(self, sealed: bytes, owner: str) -> dict[str, Any]:
        """What was sealed. Raises SettingsError when it was sealed with another key, or for another owner."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except InvalidTag:
            raise SettingsError(
                f"The secrets of {owner} were sealed with another encryption key; set MODELGATE_ENCRYPTION_KEY to that "
                "key, or remove the server and add it again."
            ) from None
        opened: dict[str, Any] = json.loads(plain)
        return opened


def open_vault(configured_key: str, data_dir: Path) -> Vault:
    """The vault of this gateway: with `configured_key` (32 bytes as hex or base64), else with the key file.

    The key file is made, with mode 0600, where there is none. Raises SettingsError for a key of another form.
    """
    if configured_key:
        return Vault(_parse_key(configured_key))
    path = data_dir / _KEY_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return Vault(_parse_key(path.read_text().strip()))
        with os.fdopen(descriptor, "w") as file:
            key = secrets.token_bytes(_KEY_BYTES)
            file.write(key.hex() + "\n")
    except OSError as error:
        raise SettingsError(
            f"The encryption key file {path} cannot be used ({error.strerror}); fix its permissions or set "
            "MODELGATE_ENCRYPTION_KEY."
        ) from None
    return Vault(key)


def _parse_key(text: str) -> bytes:
    for decode in (bytes.fromhex, lambda value: base64.b64decode(value, validate=True)):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == _KEY_BYTES:
            return key
    raise SettingsError(
        "The encryption key has to be 32 bytes as 64 hex digits or in base64; make one with openssl rand -hex 32."
    )
