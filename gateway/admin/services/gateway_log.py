"""The log of the gateway's own process, as far as it is kept."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.audit.redaction import Redactor
from gateway.settings import AuditSettings
from gateway.telemetry.log_buffer import LogBuffer

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines: of this level or a worse one, with `text` in the message or in the part that wrote it."""

    level: Literal["debug", "info", "warning", "error"] = "debug"
    text: Annotated[str, Field(max_length=200)] = ""
    limit: Annotated[int, Field(ge=1, le=2_000)] = 500

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log: when, its level, which part of the gateway wrote it, and what."""

    at: datetime
    level: str
    logger: str
    message: str


class GatewayLogService:
    """Keeps the last lines of this process's log from the start of the application on."""

    def __init__(self, settings: AuditSettings) -> None:
        self._buffer = LogBuffer(Redactor(settings).redact_text)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Lines are kept as long as this block lasts."""
        root = logging.getLogger()
        root.addHandler(self._buffer)
        try:
            yield
        finally:
            root.removeHandler(self._buffer)

    def list(self, query: LogFilter) -> tuple[LogEntry, ...]:
        """The lines that fit, newest first."""
        text = query.text.lower()
        fitting = (
            LogEntry(line.at, line.level, line.logger, line.message)
            for line in self._buffer.lines()
            if _LEVELS.get(line.level, 50) >= _LEVELS[query.level] and text in f"{line.logger} {line.message}".lower()
        )
        return tuple(entry for _, entry in zip(range(query.limit), fitting, strict=False))
