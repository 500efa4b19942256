"""TCP connections of an HTTP client that go to checked addresses only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from gateway.upstream.policy import ConnectionPolicy


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a host, has each address checked, and connects to what was checked: the name is not asked again.

    TLS goes on against the name of the host. Every connection is checked, so also those of redirects.
    """

    def __init__(self, policy: ConnectionPolicy, server: str) -> None:
        self._policy = policy
        self._server = server
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._policy.resolve(self._server, host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def guard_connections(client: httpx2.AsyncClient, policy: ConnectionPolicy, server: str) -> None:
    """Have `client` connect as `policy` says; failures are told in the name of `server`.

    Through a proxy that the environment names, the gateway connects to the proxy, and the proxy to the server: then it
    is the proxy's to check.
    """
    transport = client._transport
    pool = getattr(transport, "_pool", None)
    if not isinstance(pool, httpcore2.AsyncConnectionPool):
        raise TypeError("the HTTP client has no connection pool to guard")
    pool._network_backend = GuardedBackend(policy, server)
