"""Taking secrets out of what the audit log keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import SettingsError
from gateway.json_codec import encode
from gateway.json_pointer import split_pointer
from gateway.masking import MASK
from gateway.settings import AuditSettings

_MAX_DEPTH = 100

# Names of arguments that hold secrets, as whole words of the name.
_SECRET_NAME = re.compile(
    r"(?:^|[_\-.]|(?<=[a-z]))(?:pass(?:word|wd|phrase|code)?|pwd|secrets?|token|api[_\-]?key|private[_\-]?key|access[_\-]?key|"
    r"client[_\-]?secret|credentials?|authorization|auth|cookie|pin|otp)$",
    re.IGNORECASE,
)
_SECRET_PATTERNS = (
    r"mg_[0-9a-f]{64}",
    r"\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]+[-_])*[A-Za-z0-9]{16,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bAIza[0-9A-Za-z_-]{30,}",
    r"(?<=://)[^/?#\s]+(?=@)",
    r"(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=))[^\s&;,\"']+",
)


def storable_text(text: str) -> str:
    """`text` without what PostgreSQL cannot hold: NUL and lone surrogates."""
    plain = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return plain if plain.isascii() else plain.encode(errors="replace").decode()


class Redactor:
    """Masks secrets by the names of arguments, by JSON pointers, and by what they look like."""

    def __init__(self, settings: AuditSettings) -> None:
        """Raises SettingsError for a pointer or a pattern that is none."""
        self._pointers = [_parse_pointer(pointer) for pointer in settings.redact_pointers]
        for pattern in settings.redact_patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise SettingsError(
                    f"audit.redact_patterns: {pattern!r} is not a regular expression ({error}); correct it."
                ) from None
        self._secrets = re.compile("|".join(f"(?:{p})" for p in (*_SECRET_PATTERNS, *settings.redact_patterns)))
        self._bytes = settings.argument_bytes

    def redact_text(self, text: str) -> str:
        """`text` without the secrets in it, and without what PostgreSQL cannot hold."""
        return self._secrets.sub(MASK, storable_text(text))

    def redact_json(self, arguments: Mapping[str, Any]) -> Any:
        """A copy of `arguments` without secrets; its beginning as text where it is too long as JSON."""
        redacted = self._copy(arguments, self._pointers, _MAX_DEPTH)
        text = encode(redacted)
        return redacted if len(text) <= self._bytes else text[: self._bytes].decode(errors="ignore") + "…"

    def _copy(self, value: Any, pointers: Sequence[Sequence[str]], depth: int) -> Any:
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, float) and not math.isfinite(value):
            # PostgreSQL takes no such number, and a call must not stay unrecorded for it.
            return str(value)
        if depth == 0 and isinstance(value, Mapping | list):
            return "…"
        if isinstance(value, Mapping):
            copied = {}
            for name, item in value.items():
                below = [steps[1:] for steps in pointers if steps[0] in (name, "*")]
                hidden = [] in below or (_SECRET_NAME.search(name) and not isinstance(item, Mapping | list | bool))
                copied[self.redact_text(name)] = (
                    MASK if hidden and item is not None else self._copy(item, below, depth - 1)
                )
            return copied
        if isinstance(value, list):
            return [
                MASK if [] in below else self._copy(item, below, depth - 1)
                for position, item in enumerate(value)
                for below in ([steps[1:] for steps in pointers if steps[0] in (str(position), "*")],)
            ]
        return value


def _parse_pointer(pointer: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    try:
        steps = split_pointer(pointer)
    except ValueError:
        steps = []
    if not steps:
        raise SettingsError(
            f"audit.redact_pointers: {pointer!r} is not a JSON pointer; it begins with a slash, as /password does."
        )
    return steps
