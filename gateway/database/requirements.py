"""What a PostgreSQL has to be for the gateway to run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.database.queries import statement
from gateway.errors import DatabaseError
from gateway.masking import MASK, url_without_secrets


@dataclass(frozen=True, slots=True)
class DatabaseRequirements:
    """The oldest versions that will do: of PostgreSQL the major one, of pgvector major and minor."""

    postgresql: int = 14
    pgvector: tuple[int, int] = (0, 8)

    async def check(self, connection: asyncpg.Connection[Any], url: str) -> None:
        """Raises DatabaseError where the server at `url` is too old or lacks pgvector."""
        versions = await connection.fetchrow(statement("server_version"))
        assert versions is not None
        major = versions["postgresql"] // 10_000
        if major < self.postgresql:
            raise DatabaseError(
                f"PostgreSQL {major} is too old; ModelGate needs PostgreSQL {self.postgresql} or newer."
            )
        found = versions["pgvector"]
        if found is None or tuple(int(part) for part in found.split(".")[:2]) < self.pgvector:
            wanted = ".".join(str(part) for part in self.pgvector)
            raise DatabaseError(
                f"PostgreSQL at {location_of(url)} has {'no pgvector' if found is None else 'pgvector ' + found}; "
                f"install pgvector {wanted} or newer (Debian: postgresql-NN-pgvector; Docker: pgvector/pgvector:pg17)."
            )


def location_of(url: str) -> str:
    """A URL of a database without user and password."""
    scheme, _, place = url_without_secrets(url).partition("://")
    if not place:
        return MASK if scheme == MASK else "localhost"
    return f"localhost{place}" if place.startswith("/") else place
