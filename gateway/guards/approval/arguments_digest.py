"""The digest of a call's arguments: the same for the same JSON value, however it was written (RFC 8785)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from gateway.errors import InvalidInputError
from gateway.json_codec import check_sendable

MAX_BYTES = 256 * 1024
"""How long arguments may be, in their canonical form, that a person is asked about."""

_LARGEST_INTEGER = 2**53 - 1


def digest_arguments(arguments: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical form.

    It has no whole numbers beyond 2^53, which JavaScript rounds and servers do not: two of them are two values, so
    these go into the digest as they are written. Raises InvalidInputError for what has no canonical form, and for what
    is longer than 256 KiB.
    """
    try:
        check_sendable(dict(arguments))
        large: list[tuple[str, str]] = []
        canonical = rfc8785.dumps(_without_large_integers(dict(arguments), "", large))
        written = rfc8785.dumps(large) if large else b""
    except (ValueError, RecursionError):
        raise InvalidInputError(
            "The arguments have no canonical form, which a call that waits for approval needs; look for broken "
            "characters, numbers that are not finite and very deep nesting in them.",
            "arguments",
        ) from None
    if len(canonical) + len(written) > MAX_BYTES:
        raise InvalidInputError(
            f"The arguments are longer than the {MAX_BYTES // 1024} KiB that a person can be asked about; send less in "
            "one call.",
            "arguments",
        )
    return hashlib.sha256(canonical + b"\n" + written if large else canonical).digest()


def _without_large_integers(value: Any, path: str, large: list[tuple[str, str]]) -> Any:
    """`value` with 0 in place of each whole number beyond 2^53, which are put into `large` with their places."""
    if isinstance(value, dict):
        return {
            name: _without_large_integers(part, f"{path}/{name.replace('~', '~0').replace('/', '~1')}", large)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_without_large_integers(part, f"{path}/{place}", large) for place, part in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        large.append((path, str(value)))
        return 0
    return value
