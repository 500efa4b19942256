"""What a server of a model answered, and what it said of its own fault."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import Any

_MAX_ERROR_CHARS = 200
_MAX_WAIT_SECONDS = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class ServerReply:
    """The status and body of an HTTP answer; `json` is the body as JSON, None where it is not JSON."""

    status: int
    body: bytes
    json: Any

    @classmethod
    def parse(cls, status: int, body: bytes) -> ServerReply:
        try:
            return cls(status, body, json.loads(body))
        except (ValueError, RecursionError):
            return cls(status, body, None)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def get(self, key: str) -> Any:
        """A member of the JSON object; None where there is none, or no object."""
        return self.json.get(key) if isinstance(self.json, dict) else None

    def error_text(self, secret: str = "") -> str:
        """The server's own words on what went wrong, short and without `secret`; empty where it has none."""
        text = _words(self.json)
        if not isinstance(text, str):
            return ""
        if secret:
            text = text.replace(secret, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _MAX_ERROR_CHARS else line[: _MAX_ERROR_CHARS - 1] + "…"


def _words(said: Any) -> Any:
    """What is said in any of the shapes of errors: OpenAI's, Gemini's (in a list), FastAPI's (`detail`) and others."""
    # No server nests them deeper.
    for _ in range(5):
        if isinstance(said, list):
            said = said[0] if said else None
        elif isinstance(said, dict):
            said = said.get("error") or said.get("detail") or said.get("message") or said.get("msg")
    return said


def parse_retry_after(header: str | None) -> float | None:
    """Seconds from now of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), None where there is none."""
    if header is None:
        return None
    try:
        if header.strip().isdecimal():
            seconds = float(header)
        else:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _MAX_WAIT_SECONDS)
