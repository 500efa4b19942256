"""A server that lets in only those who show a certificate."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.errors import InvalidInputError, UpstreamUnavailableError
from gateway.upstream.credential import ClientCertificate, build_tls_context
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from tests.upstream.conftest import web
from tests.upstream.servers.odd import Odd


@dataclass(frozen=True)
class Pair:
    certificate: str
    key: str


def made(
    name: str, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(signer[1] if signer else key, hashes.SHA256()), key


def pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), encoded.decode())


@asynccontextmanager
async def guarded(folder: Path, server: Pair, authority: Pair) -> AsyncIterator[str]:
    for name, text in (("server.pem", server.certificate), ("key.pem", server.key), ("ca.pem", authority.certificate)):
        (folder / name).write_text(text)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        Odd().app,
        log_level="critical",
        ssl_certfile=str(folder / "server.pem"),
        ssl_keyfile=str(folder / "key.pem"),
        ssl_ca_certs=str(folder / "ca.pem"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        timeout_graceful_shutdown=1,
    )
    serving = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving.serve, [listening])
        while not serving.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await anyio.sleep(0.005)
        yield f"https://localhost:{listening.getsockname()[1]}/handshake"
        serving.should_exit = True


async def test_the_certificate_lets_the_gateway_in(tmp_path: Path, pool: UpstreamPool) -> None:
    authority = made("authority")
    client, trusted = pem(*made("gateway", authority)), pem(*authority)
    async with guarded(tmp_path, pem(*made("localhost", authority)), trusted) as url:
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
