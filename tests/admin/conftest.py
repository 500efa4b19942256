"""People who have signed in to a running gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from gateway.admin.accounts.account import Accounts, AdminRole
from gateway.admin.accounts.password import PasswordHasher
from tests.support.gateway import NO_AUTHORITIES, RunningGateway

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a browser: a client that holds their cookie and sends their CSRF token."""

    name: str
    http: httpx2.AsyncClient

    async def get(self, path: str, **parameters: Any) -> httpx2.Response:
        return await self.http.get(f"/api/v1{path}", params=parameters)

    async def post(self, path: str, body: Any = None, **parameters: Any) -> httpx2.Response:
        return await self.http.post(f"/api/v1{path}", json=body, params=parameters)

    async def put(self, path: str, body: Any) -> httpx2.Response:
        return await self.http.put(f"/api/v1{path}", json=body)

    async def patch(self, path: str, body: Any, **parameters: Any) -> httpx2.Response:
        return await self.http.patch(f"/api/v1{path}", json=body, params=parameters)

    async def delete(self, path: str, **parameters: Any) -> httpx2.Response:
        return await self.http.delete(f"/api/v1{path}", params=parameters)


SignInAs = Callable[..., Awaitable[Person]]


@pytest.fixture
def accounts(gateway: RunningGateway) -> Accounts:
    return Accounts(gateway.parts.database, PasswordHasher())


@pytest.fixture
async def sign_in_as(gateway: RunningGateway, accounts: Accounts) -> AsyncIterator[SignInAs]:
    """Makes an account and signs it in."""
    async with AsyncExitStack() as stack:

        async def sign_in(name: str, role: AdminRole = "admin", tenants: Sequence[str] | None = None) -> Person:
            await accounts.create(name, PASSWORD, role, tenants)
            client = httpx2.AsyncClient(base_url=gateway.url, timeout=30, verify=NO_AUTHORITIES)
            http = await stack.enter_async_context(client)
            response = await http.post("/api/v1/session", json={"name": name, "password": PASSWORD})
            assert response.status_code == 200, response.text
            http.headers["X-CSRF-Token"] = response.json()["csrf_token"]
            return Person(name, http)

        yield sign_in


@pytest.fixture
async def admin(sign_in_as: SignInAs) -> Person:
    return await sign_in_as("ada")


@pytest.fixture
async def viewer(sign_in_as: SignInAs) -> Person:
    return await sign_in_as("vic", "viewer")
