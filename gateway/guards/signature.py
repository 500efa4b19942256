"""Signatures of webhooks, as https://www.standardwebhooks.com has them: receivers check them with a library."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

_PREFIX = "whsec_"
_SECRET_BYTES = 24
_TIMESTAMP_DIGITS = 12

MAX_AGE_SECONDS = 300
"""How far the time of a message may be from now."""


def new_secret() -> str:
    """A secret for one webhook, as it is given to the receiver."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers that say who sends `body`, and when (seconds since the epoch)."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures among `headers` (names in lower case) is that of the body, made within five minutes
    of now.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS):
        return False
    if abs(time.time() - int(timestamp)) > MAX_AGE_SECONDS:
        return False
    expected = signed_headers(secret, message_id, int(timestamp), body)["webhook-signature"].encode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, each.encode(errors="replace")) for each in given)


def _key(secret: str) -> bytes:
    """The bytes that sign: what is encoded behind the prefix, or the secret itself where it is of another form."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (ValueError, binascii.Error):
            pass
    return secret.encode()
