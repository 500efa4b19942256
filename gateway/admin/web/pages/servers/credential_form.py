"""A server's credential as a form gives it: none, a token, a name and password, OAuth, and a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidInputError

CREDENTIAL_KINDS = (
    ("", "none"),
    ("bearer", "bearer token"),
    ("basic", "user name and password"),
    ("oauth_client_credentials", "OAuth client credentials"),
    ("oauth_authorization_code", "OAuth sign-in by a person"),
)
"""Kinds of credential, with labels."""

_FIELDS = {
    "bearer": {"token": "token"},
    "basic": {"username": "username", "password": "basic_password"},
    "oauth_client_credentials": {
        "client_id": "client_id",
        "client_secret": "client_secret",
        "issuer": "issuer",
        "scope": "scope",
    },
    "oauth_authorization_code": {
        "client_id": "client_id",
        "client_secret": "client_secret",
        "issuer": "issuer",
        "scope": "scope",
    },
}

_PEM_FIELDS = ("certificate", "key", "authority")


def credential_values(submitted: Mapping[str, str]) -> dict[str, Any] | None:
    """The values of a credential, as CredentialInput takes them; None where none is chosen."""
    kind = submitted.get("credential", "")
    if kind not in _FIELDS:
        return None
    return {"kind": kind, **{name: submitted.get(field, "").strip() for name, field in _FIELDS[kind].items()}}


def certificate_values(submitted: Mapping[str, str]) -> dict[str, str] | None:
    """The values of a client certificate, as CertificateInput takes them; None where none is given.

    Raises InvalidInputError for a key without its certificate.
    """
    given = {name: value for name in _PEM_FIELDS if (value := submitted.get(name, "").strip())}
    if "key" in given and "certificate" not in given:
        raise InvalidInputError("The certificate is missing that the key belongs to; paste it, too.", "certificate")
    return given or None
