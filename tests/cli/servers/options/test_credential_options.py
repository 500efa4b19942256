"""What the credential options read from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.servers.options.credential_options import read_certificate
from gateway.errors import InvalidInputError
from gateway.upstream.credentials.credential import ClientCertificate


def test_a_certificate_is_read_past_what_tools_write_around_it(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    certificate.write_text(f"friendlyName: Müller\n{block}\nsubject=/CN=a\n{block}\n")
    key.write_text("no key at all")
    options = {"client_cert": certificate, "client_key": certificate, "ca": None}
    assert read_certificate(options) == ClientCertificate(f"{block}\n{block}\n", f"{block}\n{block}\n")
    with pytest.raises(InvalidInputError, match="holds nothing in PEM"):
        read_certificate({**options, "client_key": key})
    with pytest.raises(InvalidInputError, match="takes both"):
        read_certificate({**options, "client_key": None})
    with pytest.raises(InvalidInputError, match="No such file"):
        read_certificate({**options, "ca": tmp_path / "none.pem"})
