"""Encryption keys: from the settings, or in a file that the gateway makes for itself."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gateway.errors import SettingsError

_KEY_BYTES = 32
_KEY_FILE = "encryption.key"


class KeyRing(Protocol):
    """The keys of a gateway."""

    def read(self) -> Sequence[bytes]:
        """The key that seals, and then those that only open what they have sealed; as they are just now."""
        ...


class ConfiguredKeys:
    """The keys of the settings, for as long as the process runs."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys

    def read(self) -> Sequence[bytes]:
        return self._keys


class KeyFile:
    """A file with one key a line, for its owner alone: one, and during a rotation the former one after it."""

    def __init__(self, path: Path) -> None:
        """The file is made where there is none. Raises SettingsError where it cannot be, or holds no key."""
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._keys: list[bytes] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unusable(error) from None
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        self.read()

    def read(self) -> Sequence[bytes]:
        """The keys, read again where another process has changed the file. Raises SettingsError."""
        try:
            found = self._path.stat()
            if (found.st_ino, found.st_mtime_ns) != self._read_at:
                # What is no text is no key either.
                lines = self._path.read_text(encoding="utf-8", errors="replace").split()
                self._keys = [_parse_key(line) for line in lines or [""]]
                self._read_at = (found.st_ino, found.st_mtime_ns)
        except OSError as error:
            raise self._unusable(error) from None
        return self._keys

    def begin_rotation(self) -> None:
        """Have a new key seal from now on, beside the one that did; a rotation that was cut short goes on."""
        if len(self.read()) == 1:
            self._write([secrets.token_bytes(_KEY_BYTES), *self._keys])

    def end_rotation(self) -> None:
        """Forget the former key."""
        self._write(list(self.read())[:1])

    def _write(self, keys: Sequence[bytes]) -> None:
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.writelines(f"{key.hex()}\n" for key in keys)
                file.flush()
                os.fsync(file.fileno())
            # Others read one file or the other, and a crash leaves one of them.
            beside.replace(self._path)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"The encryption key file {self._path} cannot be used ({error.strerror}); fix its permissions or set "
            "MODELGATE_ENCRYPTION_KEY."
        )


def open_keys(configured: str, former: str, data_dir: Path) -> KeyRing:
    """`configured` and `former` (32 bytes as hex or base64 each), else the key file of `data_dir`.

    Raises SettingsError for a key of another form, and a former one without one that is in force.
    """
    if configured:
        return ConfiguredKeys(*(_parse_key(key) for key in (configured, former) if key))
    if former:
        raise SettingsError(
            "server.former_encryption_key goes with server.encryption_key; the key file keeps its own former key."
        )
    return KeyFile(data_dir / _KEY_FILE)


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
