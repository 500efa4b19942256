"""Keeping secrets out of what is shown: of an address, and of texts that repeat known secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

MASK = "********"
"""What stands in place of a secret, whatever its length."""

MIN_SECRET_CHARACTERS = 8
"""A value that is shorter is a word or a number, which texts hold by chance."""


def url_without_secrets(url: str) -> str:
    """`url` without user, password, query and fragment, which may hold secrets; the mask where it is no URL."""
    if "://" not in url:
        return MASK
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return MASK
    address = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{address}{f':{port}' if port is not None else ''}{parts.path}"


class SecretMask:
    """Values that nobody may see, hidden where something repeats them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # What holds another goes first, else its rest would stay.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        written = {form: None for secret in self._secrets for form in _written_forms(secret)}
        self._written = sorted((form.encode(errors="replace") for form in written), key=len, reverse=True)

    def mask_text(self, text: str) -> str:
        """`text` without them."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def mask_bytes(self, body: bytes) -> bytes:
        """Bytes as they came, without them in the ways in which they are commonly written in JSON and URLs."""
        for written in self._written:
            body = body.replace(written, MASK.encode())
        return body

    def mask_json(self, value: Any) -> Any:
        """A decoded JSON value without them, keys of objects included."""
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, dict):
            return {self.mask_text(name): self.mask_json(part) for name, part in value.items()}
        return [self.mask_json(part) for part in value] if isinstance(value, list) else value


def _written_forms(secret: str) -> tuple[str, ...]:
    escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
    # A lone surrogate has no form in a URL.
    plain = secret.encode(errors="replace").decode()
    return secret, escaped, escaped.replace("/", "\\/"), quote(plain, safe=""), quote_plus(plain)
