"""Certificates, and servers that let in only those who show one."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


def made(
    name: str, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None, *, days: int = 1
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for localhost and its key, signed by `signer` or by itself, that is valid for so many days; one of
    less than none has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(signer[1] if signer else key, hashes.SHA256()), key


def pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    """Both in PEM."""
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), encoded.decode())


@asynccontextmanager
async def guarded(folder: Path, server: Pair, authority: Pair, application: ASGIApp) -> AsyncIterator[str]:
    """Serve `application` to those who show a certificate that `authority` signed; gives its address."""
    for name, text in (("server.pem", server.certificate), ("key.pem", server.key), ("ca.pem", authority.certificate)):
        (folder / name).write_text(text)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
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
        yield f"https://localhost:{listening.getsockname()[1]}"
        serving.should_exit = True
