"""Credentials that a trusted proxy puts on each request."""

from __future__ import annotations

import hashlib

from gateway.access.connections.source import PersonAtServer
from gateway.errors import ConnectionNeededError
from gateway.upstream.credentials.personal import PersonalHeader, PersonCredential


class HeaderSource:
    """Passes on the value of this very request, and keeps none."""

    async def get(self, at: PersonAtServer) -> PersonCredential:
        spec, kind = at.spec, at.spec.personal
        value = at.headers.get(kind.name.lower(), "") if isinstance(kind, PersonalHeader) else ""
        if not value or not isinstance(kind, PersonalHeader):
            raise ConnectionNeededError(
                spec.name,
                spec.id,
                f"{spec.name} is reached with the header {getattr(kind, 'name', '')} that your company's proxy adds, "
                "and this request came without it",
                next_step="go through the proxy",
            )
        # Behind one key there may be many people: no two values ever share a session.
        digest = hashlib.sha256(value.encode()).hexdigest()
        return PersonCredential(at.session(digest), headers={kind.send_as: value})

    async def renew(self, at: PersonAtServer, refused: PersonCredential) -> PersonCredential | None:
        """Only the proxy has another, on the next request. Raises ConnectionNeededError."""
        spec = at.spec
        raise ConnectionNeededError(
            spec.name,
            spec.id,
            f"{spec.name} does not take what your company's proxy added",
            next_step="sign in there again",
        )

    async def revoke(self, at: PersonAtServer) -> None:
        """Nothing is kept, and nobody to be told."""
