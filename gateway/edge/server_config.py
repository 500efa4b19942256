"""How uvicorn serves an application."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from gateway.edge.address_counts import AddressCounts
from gateway.edge.http_protocol import BoundedHttpProtocol, ConnectionLimits
from gateway.edge.refusals import Refusals
from gateway.edge.trusted_proxies import TrustedProxies
from gateway.settings import ServerSettings


def server_config(
    application: ASGIApp, settings: ServerSettings, stop_seconds: int, refusals: Refusals
) -> uvicorn.Config:
    """`application` within the bounds of `settings`; requests under way at the end have `stop_seconds`, and what is
    beyond the bounds is counted in `refusals`.

    Raises SettingsError for proxies that cannot be.
    """
    protocol = partial(
        BoundedHttpProtocol,
        ConnectionLimits(settings.head_seconds, settings.body_seconds),
        AddressCounts(settings.max_connections_per_address),
        TrustedProxies(settings.trusted_proxies),
        refusals,
    )
    return uvicorn.Config(
        cast(Any, application),
        http=cast(Any, protocol),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # By server.trusted_proxies, and not by what uvicorn believes unasked.
        proxy_headers=False,
        timeout_graceful_shutdown=stop_seconds,
    )
