"""Taking secrets out of what the audit log keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import SettingsError
from gateway.json_codec import encode
from gateway.json_pointer import split_pointer
from gateway.linear_pattern import LinearPattern
from gateway.masking import MASK
from gateway.sensitive_text.secrets import SECRET_PATTERNS, SECRETS_IN_PLACES
from gateway.settings import AuditSettings

_MAX_DEPTH = 100
# A secret that begins before a cut is recognised by what follows, so that much more is looked at than is kept.
_MARGIN_CHARACTERS = 2_000

# Names of arguments that hold secrets, as whole words at the end of the name.
_SECRET_NAME = re.compile(
    r"(?:^|[_\-.]|(?<=[a-z]))(?:pass(?:word|wd|phrase|code)?|pwd|secrets?|token|api[_\-]?key|private[_\-]?key|access[_\-]?key|"
    r"client[_\-]?secret|credentials?|authorization|auth|cookie|pin|otp)$",
    re.IGNORECASE,
)
_NAME_CHARACTERS = 64


def storable_text(text: str) -> str:
    """`text` without what PostgreSQL cannot hold: NUL and lone surrogates."""
    plain = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return plain if plain.isascii() else plain.encode(errors="replace").decode()


class Redactor:
    """Masks secrets by the names of arguments, by JSON pointers, and by what they look like."""

    def __init__(self, settings: AuditSettings) -> None:
        """Raises SettingsError for a pointer or a pattern that is none."""
        self._pointers = [_parse_pointer(pointer) for pointer in settings.redact_pointers]
        patterns = [*SECRET_PATTERNS, *settings.redact_patterns]
        # One after the other: of two at once, one may be looked for to the end of the text before each of the other.
        self._secrets = [_compile(pattern) for pattern in patterns]
        self._any_secret = _compile("|".join(f"(?:{pattern})" for pattern in (*patterns, SECRETS_IN_PLACES.pattern)))
        self._bytes = settings.argument_bytes

    def redact_text(self, text: str, characters: int) -> str:
        """The first `characters` of `text` without the secrets in it, and without what PostgreSQL cannot hold."""
        return self._mask(text[: characters + _MARGIN_CHARACTERS])[:characters]

    def redact_json(self, arguments: Mapping[str, Any]) -> Any:
        """A copy of `arguments` without secrets; its beginning as text where it is too long as JSON."""
        redacted = _Copy(self._mask, self._bytes).copy(arguments, self._pointers, _MAX_DEPTH)
        text = encode(redacted)
        return redacted if len(text) <= self._bytes else text[: self._bytes].decode(errors="ignore") + "…"

    def _mask(self, text: str) -> str:
        plain = storable_text(text)
        if self._any_secret.find(plain) is None:
            return plain
        plain = SECRETS_IN_PLACES.replace(plain, lambda kept: f"{kept[0]}{kept[2]}{MASK}{kept[1]}")
        for secret in self._secrets:
            plain = secret.replace(plain, MASK)
        return plain


class _Copy:
    """Copies a JSON value with its texts masked, `characters` of it at most: what is longer is cut first."""

    def __init__(self, mask: Callable[[str], str], characters: int) -> None:
        self._mask = mask
        self._left = characters

    def copy(self, value: Any, pointers: Sequence[Sequence[str]], depth: int) -> Any:
        """`value` without what `pointers` lead to, and without what is nested deeper than `depth`."""
        if isinstance(value, str):
            return self._text(value)
        self._left -= 1
        if isinstance(value, float) and not math.isfinite(value):
            # PostgreSQL takes no such number, and a call must not stay unrecorded for it.
            return str(value)
        if depth == 0 and isinstance(value, Mapping | list):
            return "…"
        if isinstance(value, Mapping):
            return self._object(value, pointers, depth)
        if isinstance(value, list):
            return self._array(value, pointers, depth)
        return value

    def _object(self, value: Mapping[str, Any], pointers: Sequence[Sequence[str]], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for name, item in value.items():
            if self._left < 0:
                copied["…"] = "…"
                break
            below = [steps[1:] for steps in pointers if steps[0] in (name, "*")]
            telling = _SECRET_NAME.search(name[-_NAME_CHARACTERS:]) and not isinstance(item, Mapping | list | bool)
            hidden = ([] in below or telling) and item is not None
            copied[self._text(name)] = MASK if hidden else self.copy(item, below, depth - 1)
        return copied

    def _array(self, value: Sequence[Any], pointers: Sequence[Sequence[str]], depth: int) -> list[Any]:
        copied: list[Any] = []
        for position, item in enumerate(value):
            if self._left < 0:
                copied.append("…")
                break
            below = [steps[1:] for steps in pointers if steps[0] in (str(position), "*")]
            copied.append(MASK if [] in below else self.copy(item, below, depth - 1))
        return copied

    def _text(self, text: str) -> str:
        """All of it may be kept, or its beginning, which alone is more than is kept of the whole."""
        cut = text[: max(0, self._left) + _MARGIN_CHARACTERS]
        self._left -= len(cut)
        return self._mask(cut) if len(cut) == len(text) else f"{self._mask(cut)}…"


def _compile(pattern: str) -> LinearPattern:
    try:
        return LinearPattern(pattern)
    except ValueError as error:
        raise SettingsError(
            f"audit.redact_patterns: {pattern!r} is no regular expression in the syntax of RE2 ({error}); correct it."
        ) from None


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
