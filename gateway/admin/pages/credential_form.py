"""What a server is to be told, read from a form: nothing, a token, a name and password, or OAuth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = (
    ("", "none"),
    ("bearer", "bearer token"),
    ("basic", "name and password"),
    ("oauth_client_credentials", "OAuth, as the gateway itself"),
    ("oauth_authorization_code", "OAuth, a person signs in"),
)
"""Kinds of credential, with words."""

_FIELDS = {
    "bearer": {"token": "token"},
    "basic": {"username": "username", "password": "basic_password"},
    "oauth_client_credentials": {
        "client_id": "client_id",
        "client_secret": "client_secret",
        "issuer": "issuer",
        "scope": "scope",
    },
    "oauth_authorization_code": {"client_id": "client_id", "client_secret": "client_secret", "scope": "scope"},
}


def credential_of(sent: Mapping[str, str]) -> dict[str, Any] | None:
    """The values of a credential, as CredentialInput takes them; None where none is chosen."""
    kind = sent.get("credential", "")
    if kind not in _FIELDS:
        return None
    return {"kind": kind, **{name: sent.get(field, "").strip() for name, field in _FIELDS[kind].items()}}
