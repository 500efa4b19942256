"""Where a server of models is, and with which key, as the settings say it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx2

from gateway.errors import SettingsError
from gateway.masking import MASK, url_without_secrets

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts on this machine, which a proxy of the environment cannot reach."""


def display_url(url: str, *, setting: str, example: str) -> str:
    """`url` as it may be shown. Raises SettingsError, which names `setting`, where it is no address of a server."""
    shown = url_without_secrets(url)
    parts = urlsplit(shown)
    try:
        httpx2.URL(url)
    except httpx2.InvalidURL:
        shown = MASK
    if shown == MASK or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{setting} has to be a URL such as {example}.")
    return shown


def parse_api_key(text: str, *, setting: str) -> str:
    """The key in `text`. Raises SettingsError, which names `setting`, where it does not fit into a header."""
    key = text.strip()
    if not re.fullmatch(r"[!-~]*", key):
        raise SettingsError(f"{setting} has characters that no key has; copy it again, as one line.")
    return key
