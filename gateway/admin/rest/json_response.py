"""An answer of the REST API."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.admin.request_input import type_adapter


def json_response(kind: Any, value: Any, status: int = 200) -> Response:
    """`value`, a `kind`, as JSON. What belongs to one account is in no cache."""
    body = type_adapter(kind).dump_json(value, by_alias=True)
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")
