"""What an embedding server answered, and what it said of its own fault."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import Any

_SHOWN_CHARS = 200
_LONGEST_WAIT_SECONDS = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class ServerReply:
    """The status and body of an HTTP answer; `document` is the body as JSON, None where it is not JSON."""

    status: int
    body: bytes
    document: Any

    @classmethod
    def parsed(cls, status: int, body: bytes) -> ServerReply:
        try:
            return cls(status, body, json.loads(body))
        except (ValueError, RecursionError):
            return cls(status, body, None)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def get(self, key: str) -> Any:
        """A member of the JSON object; None where there is none, or no object."""
        return self.document.get(key) if isinstance(self.document, dict) else None

    def complaint(self, secret: str = "") -> str:
        """The server's own words on what went wrong, short and without `secret`; empty where it has none."""
        said = self.get("error") or self.get("detail") or self.get("message")
        if isinstance(said, dict):
            said = said.get("message")
        if not isinstance(said, str):
            return ""
        if secret:
            said = said.replace(secret, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
        return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"


def retry_after(header: str | None) -> float | None:
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
    return min(max(0.0, seconds), _LONGEST_WAIT_SECONDS)
