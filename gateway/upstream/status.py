"""How an upstream server does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

ServerState: TypeAlias = Literal["idle", "connecting", "starting", "connected", "failing", "left_alone"]
"""`idle`: not connected, and no reason to think that it could not be. `starting`: its process runs and has not answered
yet. `failing`: the last try failed. `left_alone`: it failed so often that it is not tried for a while.
"""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The state of one server at one moment.

    `last_seen`: when it last answered, in UTC. `latency_ms`: round trip of the last `check`, in milliseconds.
    `restarts`: connections after the first. `last_error`: the last failure, None after a success. `stderr`: the last
    64 KiB of a stdio server's standard error output. `startup_line`: the last line that a starting server wrote there.
    """

    state: ServerState = "idle"
    last_seen: datetime | None = None
    latency_ms: float | None = None
    restarts: int = 0
    last_error: str | None = None
    stderr: str = ""
    startup_line: str = ""
