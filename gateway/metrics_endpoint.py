"""`GET /metrics`: the metrics, for whoever has the token or asks from this machine."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.edge.forwarded_headers import IS_FORWARDED
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.settings import MetricsSettings

METRICS_PATH = "/metrics"

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
# Any of them says that somebody else asks through a proxy on this machine, as do those that are taken away before.
_FORWARDING = ("forwarded", "x-real-ip", "via")


class MetricsEndpoint:
    """Answers scrapes."""

    def __init__(self, metrics: Metrics, settings: MetricsSettings) -> None:
        self._metrics = metrics
        self._token = settings.token.encode()

    async def answer(self, request: Request) -> Response:
        """All metrics, or 401 with what to send."""
        if self._is_allowed(request):
            return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)
        text = "Set metrics.token, and send it as `Authorization: Bearer …`; without it only this machine may ask.\n"
        return PlainTextResponse(text, status_code=401, headers={"WWW-Authenticate": "Bearer"})

    def _is_allowed(self, request: Request) -> bool:
        if self._token:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            return kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self._token)
        is_local = request.client is not None and request.client.host in _LOOPBACK
        is_forwarded = IS_FORWARDED in request.scope or any(name in request.headers for name in _FORWARDING)
        return is_local and not is_forwarded
