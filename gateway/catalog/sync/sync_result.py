"""What a server reported at a sync, and what the sync did with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.catalog.tool import SkippedTool


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server said of itself at a sync, without `capabilities` where that is not known, and the tools it listed
    that cannot be used.
    """

    skipped: tuple[SkippedTool, ...] = ()
    instructions: str | None = None
    server_info: dict[str, Any] | None = None
    protocol_version: str | None = None
    capabilities: dict[str, Any] | None = None

    @property
    def says_of_server(self) -> bool:
        """Whether it is known what the server said of itself."""
        return self.capabilities is not None


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a sync or a rollback did. `embedded` counts texts; `notice` says what could not be done, empty if nothing.

    `added`, `changed` and `removed` are names of tools, `quarantined` those of the added and changed that wait for an
    admin's approval. `version` is the number of the version that was written, None where nothing changed.
    """

    server: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    skipped: tuple[SkippedTool, ...] = ()
    embedded: int = 0
    seconds: float = 0.0
    notice: str = ""
    version: int | None = None
    quarantined: tuple[str, ...] = ()
