"""Where tests keep the grant of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from gateway.upstream.credentials.oauth_grant import OAuthGrant


@dataclass(eq=False)
class MemoryGrantStore:
    """A grant in memory."""

    grant: OAuthGrant | None = None
    saves: int = 0
    renewal: asyncio.Task[OAuthGrant] | None = None
    mutex: anyio.Lock = field(default_factory=anyio.Lock)

    async def load(self) -> OAuthGrant | None:
        return self.grant

    async def save(self, grant: OAuthGrant) -> bool:
        self.grant = grant
        self.saves += 1
        return True

    def spawn(self, renewal: Coroutine[Any, Any, OAuthGrant]) -> asyncio.Task[OAuthGrant]:
        self.renewal = asyncio.create_task(renewal)
        return self.renewal

    async def replace(self, grant: OAuthGrant) -> None:
        self.grant = grant

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[MemoryGrantStore]:
        async with self.mutex:
            yield self
