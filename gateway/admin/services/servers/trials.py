"""Trying a server before it is saved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.server_card import SkippedToolView
from gateway.admin.services.servers.server_input import ServerChange, ServerInput, authorize_stdio, to_server_definition
from gateway.admin.services.servers.servers import ServerService
from gateway.catalog.naming import slugify
from gateway.catalog.servers.server_definition import ServerDefinition, check_server_definition
from gateway.catalog.tool import parse_listing
from gateway.errors import InvalidInputError, UpstreamError
from gateway.settings import Settings
from gateway.upstream.policy import policy_from_settings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.spec import ServerSpec


@dataclass(frozen=True, slots=True)
class ServerTest:
    """What is to be tried: a new server, or one that is there with these changes, its stored secrets included."""

    server: ServerInput | None = None
    server_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    change: ServerChange | None = None

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class TriedServer:
    """What came of a try. `ok`: it was connected and listed its tools; else `error` says why not.

    `log` is the end of what a stdio server wrote to its standard error output.
    """

    ok: bool
    error: str | None
    milliseconds: float
    server_name: str | None
    protocol_version: str | None
    tools: tuple[str, ...]
    skipped: tuple[SkippedToolView, ...]
    log: str


class TrialService:
    """Connects to servers that are not in the catalogue."""

    def __init__(self, servers: ServerService, settings: Settings) -> None:
        self._servers = servers
        self._settings = settings
        self._policy = policy_from_settings(settings.guards)

    async def run(self, tenant_id: int, test: ServerTest, principal: Principal) -> TriedServer:
        """Connect, list the tools, disconnect; a server that fails is no error.

        Raises InvalidInputError, NotFoundError, and ForbiddenError for a command that may not be run.
        """
        server = await self._server_to_test(tenant_id, test)
        authorize_stdio(server, principal, self._settings.admin)
        check_server_definition(server, self._policy)
        return await self._connect(self._spec(tenant_id, server))

    async def _server_to_test(self, tenant_id: int, test: ServerTest) -> ServerDefinition:
        if (test.server is None) == (test.server_id is None):
            raise InvalidInputError("Either server or server_id has to be given, one of them.", "server")
        if test.server is not None:
            if test.change is not None:
                raise InvalidInputError("change goes with server_id, not with server.", "change")
            return to_server_definition(test.server)
        assert test.server_id is not None
        return await self._servers.preview_change(tenant_id, test.server_id, test.change or ServerChange())

    async def _connect(self, spec: ServerSpec) -> TriedServer:
        started = time.perf_counter()
        async with UpstreamPool(self._settings.upstream) as pool:
            try:
                entries = await pool.list_all(spec, "tools/list", "tools")
            except UpstreamError as error:
                return TriedServer(
                    False, error.message, _milliseconds_since(started), None, None, (), (), pool.status(spec.id).stderr
                )
            tools, skipped = parse_listing(entries)
            info = pool.session_info(spec)
            name = info.server_info.get("name") if info is not None and info.server_info else None
            return TriedServer(
                ok=True,
                error=None,
                milliseconds=_milliseconds_since(started),
                server_name=name if isinstance(name, str) else None,
                protocol_version=info.protocol_version if info is not None else None,
                tools=tuple(tool.name for tool in tools),
                skipped=tuple(SkippedToolView(tool.name, tool.reason) for tool in skipped),
                log=pool.status(spec.id).stderr,
            )

    def _spec(self, tenant_id: int, server: ServerDefinition) -> ServerSpec:
        limits = self._settings.upstream
        return ServerSpec(
            id=0,
            tenant_id=tenant_id,
            name=server.name,
            slug=slugify(server.name),
            transport=server.transport,
            command=server.command,
            args=server.args,
            env=server.env,
            cwd=server.cwd,
            url=server.url,
            headers=server.headers,
            credential=server.credential,
            certificate=server.certificate,
            document=server.document,
            document_url=server.document_url,
            policy=self._policy,
            connect_timeout=limits.connect_timeout_seconds,
            start_timeout=limits.start_timeout_seconds,
            list_timeout=limits.list_timeout_seconds,
            call_timeout=limits.call_timeout_seconds,
        )


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
