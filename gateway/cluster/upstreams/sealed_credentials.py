"""Credentials of persons on their way to the process that has the sessions with the server."""

from __future__ import annotations

import base64

from gateway.upstream.credentials.personal import PersonCredential
from gateway.upstream.spec import ServerSpec
from gateway.vault import Vault


class SealedCredentials:
    """Seals them for one server: links between processes are signed, and read by whoever listens."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, spec: ServerSpec, credential: PersonCredential) -> str:
        """A credential as text."""
        values = {
            "session": credential.session,
            "headers": dict(credential.headers),
            "query": dict(credential.query),
            "env": dict(credential.env),
        }
        return base64.b64encode(self._vault.seal(values, _owner(spec))).decode("ascii")

    def open(self, spec: ServerSpec, sealed: str) -> PersonCredential:
        """What `seal` made. Raises SettingsError for what was made for another server."""
        return PersonCredential(**self._vault.open(base64.b64decode(sealed), _owner(spec)))


def _owner(spec: ServerSpec) -> str:
    return f"credential of a person for server {spec.id} of tenant {spec.tenant_id}"
