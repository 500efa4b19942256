"""The guard that lets arguments name files in some folders only."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from gateway.guards.builtin.named_arguments import NamedArguments
from gateway.guards.content import Content
from gateway.guards.inspection import NOTHING_FOUND, Inspection, plural
from gateway.guards.options import AllowOptions

_NAMES_PATH = re.compile(
    r"(?:^|_|-)(?:paths?|files?|file_?names?|file_?path|dirs?|directory|directories|folders?|root|roots|cwd|src|dst|dest|destination)$"
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_LIKE_PATH = ("/", "~", "./", "../", ".\\", "..\\", "\\\\", "file:")
_FILE_URL = ("file:/", "file:\\")
# What parsers of URLs leave out of one, and before it: https://url.spec.whatwg.org/#concept-basic-url-parser
_LEFT_OUT = ("\t", "\r", "\n")
_BEFORE = "".join(map(chr, range(33)))
# A text that is longer is no path on any system.
_MAX_PATH = 4_096


class PathGuard:
    """Compares paths as they are written, with `..` taken out: where links lead is for the server to say."""

    def __init__(self, options: AllowOptions) -> None:
        """Raises InvalidInputError."""
        self._arguments = NamedArguments(options.arguments)
        self._allowed = [_normalize(folder) for folder in options.allowed]

    def inspect_now(self, content: Content) -> Inspection:
        count = sum(
            not _is_below(text.text, self._allowed)
            for text in self._arguments.texts_in(content.value)
            if text.is_named or _names_path(text.name, text.text)
        )
        if not count:
            return NOTHING_FOUND
        return Inspection(count, f"name {count:,} path{plural(count)} outside of what is allowed")


def _names_path(name: str, text: str) -> bool:
    """Whether an argument names a file, by what it is called or by how it begins."""
    if _as_url(text).lower().startswith(_FILE_URL):
        return True
    if "\n" in text or len(text) > _MAX_PATH:
        return _NAMES_PATH.search(name[-64:]) is not None
    return (
        text.lstrip()[:5].lower().startswith(_LIKE_PATH)
        or bool(_DRIVE.match(text))
        or _NAMES_PATH.search(name[-64:]) is not None
    )


def _as_url(text: str) -> str:
    """A text as a parser of URLs reads it, as far as a path may go."""
    read = text[: 2 * _MAX_PATH].lstrip(_BEFORE)
    for left_out in _LEFT_OUT:
        read = read.replace(left_out, "")
    return read


def _is_below(path: str, folders: Sequence[str]) -> bool:
    """Whether a path is one of `folders`, or in one of them."""
    if "\x00" in path or len(path) > _MAX_PATH:
        return False
    normal = _normalize(path)
    return any(
        normal == folder or normal.startswith(folder if folder.endswith("/") else f"{folder}/") for folder in folders
    ) or ("." in folders and not normal.startswith(("/", "~", "..")) and not _DRIVE.match(normal))


def _normalize(path: str) -> str:
    """A path without scheme, `.` and `..`, with slashes; one that leads out of its folder begins with `..`."""
    if _as_url(path)[:5].lower() == "file:":
        path = _as_url(path)
        parts = urlsplit(path)
        # On another host it is another file.
        path = unquote(parts.path) if parts.netloc in ("", "localhost") else f"//{parts.netloc}{unquote(parts.path)}"
    path = path.replace("\\", "/")
    normal = posixpath.normpath(path) if path else "."
    if _DRIVE.match(f"{normal}/"):
        normal = normal.lower()
    return normal
