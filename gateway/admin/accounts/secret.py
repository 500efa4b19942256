"""Random secrets that are handed out once and kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_BYTES = 32


def generate_secret(prefix: str = "") -> str:
    """`prefix` and 64 hex digits, 256 random bits."""
    return prefix + secrets.token_hex(_BYTES)


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret: its SHA-256, which is enough for 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def derive_csrf_token(session: str) -> str:
    """The token that a change made with this session has to carry; who cannot read the session cannot know it."""
    return hmac.new(session.encode("utf-8", "surrogateescape"), b"modelgate csrf", hashlib.sha256).hexdigest()
