"""Requests of callers to servers, each let in as the person behind it where the server wants that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.access.caller import Caller
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.errors import UpstreamHttpError
from gateway.json_codec import Message
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec

_UNAUTHORIZED, _FORBIDDEN = 401, 403


class CallerRequests:
    """The way from callers to the pool."""

    def __init__(self, pool: UpstreamPool, credentials: PersonalCredentials) -> None:
        self._pool = pool
        self._credentials = credentials

    async def request(self, caller: Caller, spec: ServerSpec, request: UpstreamRequest) -> Message:
        """The result of a request, as `UpstreamPool.request` has it. What a server refuses for the person's credential
        is sent once more with another, where there is one: it was certainly not begun.

        Raises ConnectionNeededError where the person has to connect the server first, and what the pool raises.
        """
        if spec.personal is None:
            return await self._pool.request(spec, request)
        credential = await self._credentials.get(caller, spec)
        try:
            return await self._pool.request(spec, replace(request, credential=credential))
        except UpstreamHttpError as error:
            if error.status != _UNAUTHORIZED:
                raise
            renewed = await self._credentials.renew(caller, spec, credential)
            if renewed is None:
                raise
        return await self._pool.request(spec, replace(request, credential=renewed))

    async def list_all(self, spec: ServerSpec, method: str, key: str) -> list[Any]:
        """Every item of a list method for the catalogue, which is everybody's: by the server's own credential, or by
        that of the person whom the server is listed as.

        Raises ConnectionNeededError where that person has not agreed, and as `UpstreamPool.list_all`.
        """
        credential = await self._credentials.for_listing(spec)
        try:
            return await self._pool.list_all(spec, method, key, credential)
        except UpstreamHttpError as error:
            if spec.personal is None or error.status not in (_UNAUTHORIZED, _FORBIDDEN):
                raise
            whose = "its own" if credential is None else "the person's"
            raise UpstreamHttpError(
                spec.name,
                f"Server {spec.name} lists nothing for {whose} credential (HTTP {error.status}); give it one that may "
                "list, or name a person who agrees to it: modelgate servers set NAME --list-as PERSON.",
                error.status,
                error.said,
            ) from None
