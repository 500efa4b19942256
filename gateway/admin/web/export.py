"""Lists as files for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from starlette.responses import Response

from gateway.audit.reader import csv_line


def attachment_headers(name: str, ending: str) -> dict[str, str]:
    """Headers with which a browser saves an answer as a file of today, and keeps no copy."""
    return {
        "Content-Disposition": f'attachment; filename="{name}-{datetime.now(timezone.utc):%Y-%m-%d}.{ending}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def csv_response(name: str, columns: Sequence[str], rows: Iterable[object]) -> Response:
    """The attributes called `columns` of each row as CSV with a head; moments in ISO 8601, lists parted by spaces."""
    lines = [list(columns), *([_cell(getattr(row, column)) for column in columns] for row in rows)]
    text = "".join(f"{csv_line(line)}\r\n" for line in lines)
    return Response(text, media_type="text/csv", headers=attachment_headers(name, "csv"))


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return " ".join(value) if isinstance(value, tuple) else value
