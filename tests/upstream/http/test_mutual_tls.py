"""A server that lets in only those who show a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import InvalidInputError, UpstreamUnavailableError
from gateway.upstream.credentials.credential import ClientCertificate, build_tls_context
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.upstream.conftest import web
from tests.upstream.http.tls import guarded, made, pem
from tests.upstream.servers.odd import Odd


async def test_the_certificate_lets_the_gateway_in(tmp_path: Path, pool: UpstreamPool) -> None:
    authority = made("authority")
    client, trusted = pem(*made("gateway", authority)), pem(*authority)
    async with guarded(tmp_path, pem(*made("localhost", authority)), trusted, Odd().app) as base:
        url = f"{base}/handshake"
        shown = ClientCertificate(client.certificate, client.key, trusted.certificate)
        result = await pool.request(web(url, certificate=shown), UpstreamRequest("tools/call", {"name": "x"}))
        assert result["content"] == []
        bare = ClientCertificate(authority=trusted.certificate)
        with pytest.raises(UpstreamUnavailableError):
            await pool.request(web(url, id=2, certificate=bare), UpstreamRequest("tools/call", {"name": "x"}))
        with pytest.raises(UpstreamUnavailableError, match="certificate is not trusted"):
            await pool.request(web(url, id=3), UpstreamRequest("tools/call", {"name": "x"}))


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused() -> None:
    one, other = pem(*made("one")), pem(*made("other"))
    with pytest.raises(InvalidInputError, match="that belong together"):
        build_tls_context(ClientCertificate(one.certificate, other.key))
    assert one.key not in repr(ClientCertificate(one.certificate, one.key))
