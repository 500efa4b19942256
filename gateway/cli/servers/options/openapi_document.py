"""An OpenAPI document on the command line: a file, or a URL."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.errors import InvalidInputError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(target: str) -> bool:
    """Whether `target` is a URL, and not a file or a command."""
    return _SCHEME.match(target) is not None


def read_document(target: str) -> tuple[str | None, str | None]:
    """The text of the document where `target` is a file, and its URL where it is one. Raises InvalidInputError."""
    return (None, target) if is_url(target) else (read_text(target), None)


def read_text(file: str) -> str:
    """What a file holds. Raises InvalidInputError where it cannot be read, or not as UTF-8."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{file} is not a text file in UTF-8.") from None
