"""What Ollama tells while it pulls a model: a line of JSON for each step, and an error in the last one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from gateway.errors import EmbeddingError

# A line has a few hundred bytes.
_LONGEST_LINE = 64 * 1024

_CAUSES = (
    ("file does not exist", "look for its name in Ollama's library"),
    ("invalid model name", "look for its name in Ollama's library"),
    (
        "no space left",
        "make room on the disk where Ollama keeps its models, and pull it again: it goes on where it was",
    ),
    ("no such host", "see whether that server reaches its library over the network"),
    ("max retries exceeded", "see whether that server reaches its library, and pull it again: it goes on where it was"),
)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A step of a pull, in Ollama's words; `completed` of `total` bytes of a part, both 0 for a step without size."""

    status: str
    completed: int = 0
    total: int = 0


async def read_progress(
    response: httpx2.Response, label: str, name: str, stall_seconds: float
) -> AsyncIterator[PullProgress]:
    """The steps of the pull of model `name`, to its success, from an answer of the server `label`.

    Raises EmbeddingError for an error that Ollama tells, and httpx2.HTTPError where the answer ends before that or
    tells of no progress for `stall_seconds`.
    """
    last: PullProgress | None = None
    moved_at = time.monotonic()
    async for line in _lines(response):
        step = _parse(line)
        if isinstance(error := step.get("error"), str):
            raise pull_error(label, name, error)
        progress = PullProgress(str(step.get("status") or ""), _bytes(step, "completed"), _bytes(step, "total"))
        if progress != last:
            moved_at, last = time.monotonic(), progress
            yield progress
        elif time.monotonic() - moved_at > stall_seconds:
            raise httpx2.ReadTimeout(f"no progress for {stall_seconds:g} s", request=response.request)
        if progress.status == "success":
            return
    raise httpx2.RemoteProtocolError("the answer ended before the pull did", request=response.request)


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in response.aiter_raw():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE:
            raise httpx2.DecodingError("a line without end", request=response.request)
    if rest.strip():
        yield rest


def _parse(line: bytes) -> dict[str, Any]:
    try:
        step = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return step if isinstance(step, dict) else {}


def _bytes(step: dict[str, Any], key: str) -> int:
    value = step.get(key)
    return value if isinstance(value, int) else 0


def pull_error(label: str, name: str, error: str) -> EmbeddingError:
    """What to say where the server `label` could not pull the model, in the server's words and with what to do."""
    words = " ".join("".join(c if c.isprintable() else " " for c in error).split())[:200]
    step = next((step for cause, step in _CAUSES if cause in words), "look into that server's log")
    return EmbeddingError(f"{label} could not pull {name} ({words})", step)
