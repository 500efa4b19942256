"""Headers that are no address: refused at every path, and never a fault of the gateway."""

from __future__ import annotations

import logging

import pytest

from gateway.admin.rest.api import OPERATIONS
from gateway.admin.web.site import PAGES
from tests.admin.conftest import Person
from tests.support.gateway import RunningGateway

ODD = (
    "http://[",
    "//[::1",
    "http://a]b",
    "http://[::ffff:1.2.3.4.5]/",
    "https://exa mple:99999999/",
    "null",
    "\xb2",
    "%",
)
HEADERS = ("Origin", "Host", "Referer", "HX-Current-URL", "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto")
PATHS = [
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/mcp"),
    ("POST", "/mcp/p/some"),
    ("GET", "/.well-known/oauth-protected-resource/mcp"),
    ("GET", "/oauth/callback"),
    ("GET", "/signin"),
    ("POST", "/signin"),
    ("POST", "/setup"),
    ("POST", "/signout"),
    ("GET", "/admin"),
    ("GET", "/admin/"),
    ("GET", "/nowhere"),
    ("POST", "/api/v1/session"),
    ("GET", "/api/v1/nowhere"),
    *((page.method, f"/admin/t/default{page.path}".replace("{server:int}", "1")) for page in PAGES[:12]),
    *((operation.method, f"/api/v1{operation.path}".replace("{server_id}", "1")) for operation in OPERATIONS[:12]),
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("signed_in", [False, True])
async def test_no_header_makes_the_gateway_fail(
    gateway: RunningGateway, admin: Person, header: str, signed_in: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = admin.http if signed_in else gateway.http
    with caplog.at_level(logging.ERROR):
        for odd in ODD:
            value = odd.removeprefix("http://") if header == "Host" else odd
            for method, path in PATHS:
                response = await client.request(method, path, headers=[(header.encode(), value.encode("latin-1"))])
                assert response.status_code < 500, (method, path, odd)
    assert not caplog.records
