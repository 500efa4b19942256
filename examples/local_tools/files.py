"""Finding files below one directory."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from mcp.server.mcpserver.exceptions import ToolError

MAX_RESULTS = 200
MAX_FILES_VISITED = 200_000


@dataclass(frozen=True)
class FoundFile:
    """One file, its path relative to the root."""

    path: str
    size_bytes: int
    modified: str


@dataclass(frozen=True)
class FoundFiles:
    """Files that match, in alphabetical order of their directories; `truncated` where there may be more."""

    root: str
    files: list[FoundFile]
    truncated: bool


def search_files(root: Path, pattern: str, max_results: int) -> FoundFiles:
    """Files below `root` whose name or path matches `pattern`.

    The tree is walked without following links and each path is compared with the pattern, so no pattern can lead out
    of the root. Raises ToolError for a pattern that names a place outside of it.
    """
    wanted = pattern.strip().lower()
    segments = [segment for segment in wanted.split("/") if segment]
    if not segments or wanted.startswith(("/", "~")) or ".." in segments:
        raise ToolError(f"The pattern {pattern!r} has to be a name or path below {root}, such as *.py or docs/**/*.md.")
    if "/" not in wanted:
        by_name = wanted if any(character in wanted for character in "*?[") else f"*{wanted}*"
        segments = ["**", by_name]
    found: list[FoundFile] = []
    for visited, path in enumerate(_files_below(root)):
        if visited >= MAX_FILES_VISITED or len(found) > max_results:
            return FoundFiles(str(root), found[:max_results], truncated=True)
        relative = path.relative_to(root)
        if not _matches([part.lower() for part in relative.parts], segments):
            continue
        try:
            status = path.lstat()
        except OSError:
            continue
        modified = datetime.fromtimestamp(status.st_mtime, timezone.utc).isoformat(timespec="seconds")
        found.append(FoundFile(relative.as_posix(), status.st_size, modified))
    return FoundFiles(str(root), found[:max_results], truncated=len(found) > max_results)


def _files_below(root: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            yield Path(directory, name)


def _matches(parts: Sequence[str], segments: Sequence[str]) -> bool:
    if not segments:
        return not parts
    if segments[0] == "**":
        return _matches(parts, segments[1:]) or (bool(parts) and _matches(parts[1:], segments))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], segments[0]) and _matches(parts[1:], segments[1:])
