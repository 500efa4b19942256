"""What people do with servers: look, add, change, switch off, remove."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import Field

from gateway.access.persons import Persons
from gateway.admin.accounts.principal import Principal
from gateway.admin.request_input import FORBID_EXTRA
from gateway.admin.services.servers.credential_input import (
    CredentialsInput,
    PersonalInput,
    to_certificate,
    to_credential,
)
from gateway.admin.services.servers.server_card import (
    ConnectionView,
    PersonalDetail,
    ReviewSummary,
    ServerCard,
    ServerDetail,
    ServerName,
    SkippedToolView,
    build_connection_view,
    build_server_card,
    build_server_detail,
    without_startup_line,
)
from gateway.admin.services.servers.server_input import (
    ServerChange,
    ServerInput,
    apply_change,
    authorize_stdio,
    to_server_definition,
)
from gateway.catalog.client_config.client_config import MissingValue, parse_client_config
from gateway.catalog.configuration.personal_entry import export_personal, resolve_personal
from gateway.catalog.configuration.placeholders import PlaceholderNames
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.servers.server import Servers
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.catalog.servers.server_record import ServerRecord
from gateway.catalog.servers.tuning import Tuning
from gateway.database.pool import Database
from gateway.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from gateway.settings import AdminSettings, UpstreamSettings
from gateway.upstream.pool import UpstreamPool

__all__ = [
    "ConnectionView",
    "Imported",
    "ServerCard",
    "ServerChange",
    "ServerDetail",
    "ServerInput",
    "ServerService",
    "SkippedToolView",
    "TuningInput",
]

_Seconds = Annotated[float, Field(ge=0.1, le=31_622_400, allow_inf_nan=False)]
_Interval = Annotated[float, Field(ge=0, le=31_622_400, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of one server of a pasted configuration: its number, or why it was not added.

    `name` is None where the entry could not be read; the error names it then. `note` says why a server that was added
    is left disabled.
    """

    name: str | None
    id: int | None
    error: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TuningInput:
    """How a server is used; null is as the gateway's settings say. Timeouts and intervals in seconds.

    `session`: one upstream session for all clients, or one for each. `idle_stop_seconds`: when the process of an unused
    stdio server is stopped; 0 never. `sync_every_seconds`: how often its tools are looked at; 0 never by itself.
    """

    connect_timeout_seconds: _Seconds | None = None
    start_timeout_seconds: _Seconds | None = None
    list_timeout_seconds: _Seconds | None = None
    call_timeout_seconds: _Seconds | None = None
    max_calls_in_flight: Annotated[int, Field(ge=1, le=10_000)] | None = None
    session: Literal["shared", "per_client"] = "shared"
    idle_stop_seconds: _Interval = 0.0
    sync_every_seconds: _Interval | None = None

    __pydantic_config__ = FORBID_EXTRA


class ServerService:
    """Servers of a tenant."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        pool: UpstreamPool,
        logins: OAuthLogins,
        settings: AdminSettings,
        limits: UpstreamSettings,
    ) -> None:
        self._database = database
        self._servers = servers
        self._pool = pool
        self._logins = logins
        self._settings = settings
        self._limits = limits

    @property
    def default_limits(self) -> UpstreamSettings:
        """What holds for a server that has no limits of its own."""
        return self._limits

    async def list(self, tenant_id: int, principal: Principal) -> list[ServerCard]:
        """Every server, by name."""
        cards = await self._build_cards(tenant_id, await self._servers.list(tenant_id))
        return list(cards) if principal.may_write else [without_startup_line(card) for card in cards]

    async def names(self, tenant_id: int) -> tuple[ServerName, ...]:
        """What every server is called, by name: for choices, of which there may be hundreds."""
        rows = await self._database.fetch("index_servers", tenant_id)
        return tuple(sorted((ServerName(**row) for row in rows), key=lambda server: server.name.lower()))

    async def get(self, tenant_id: int, server_id: int, principal: Principal) -> ServerDetail:
        """One server. Raises NotFoundError."""
        record = await self._servers.get(tenant_id, server_id)
        spec = await self._servers.spec(tenant_id, server_id)
        return build_server_detail(record, spec, await self._card(tenant_id, record), masked=not principal.may_write)

    async def add(self, tenant_id: int, new: ServerInput, principal: Principal) -> ServerDetail:
        """Add a server, without connecting to it.

        Raises InvalidInputError, ConflictError where the name is taken, ForbiddenError for a command that may not be.
        """
        server_id = await self.add_definition(tenant_id, to_server_definition(new), principal)
        return await self.get(tenant_id, server_id, principal)

    async def add_definition(
        self, tenant_id: int, server: ServerDefinition, principal: Principal, *, enabled: bool = True
    ) -> int:
        """Add a server; its number. Raises as `add`."""
        authorize_stdio(server, principal, self._settings)
        return await self._servers.add(tenant_id, server, enabled=enabled)

    def missing_values(self, text: str, values: Mapping[str, str]) -> tuple[MissingValue, ...]:
        """What an `mcpServers` document leaves open beyond `values`. Raises InvalidInputError where it is none."""
        try:
            return parse_client_config(text, values).missing
        except InvalidInputError as error:
            raise InvalidInputError(error.message, "document") from None

    async def import_json(
        self,
        tenant_id: int,
        text: str,
        principal: Principal,
        record_denial: Callable[[], None],
        values: Mapping[str, str],
    ) -> tuple[Imported, ...]:
        """Add the servers of an `mcpServers` document, each for itself; `record_denial` is called for each refused.

        `values` are for the document's placeholders, by name: the gateway's own environment is nobody's to read.
        Raises InvalidInputError where it is no such document.
        """
        outcomes: list[Imported] = []
        try:
            config = parse_client_config(text, values)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, "document") from None
        outcomes += [Imported(None, None, sentence) for sentence in config.problems]
        for server in config.servers:
            name = server.definition.name
            try:
                server_id = await self.add_definition(tenant_id, server.definition, principal, enabled=server.enabled)
                if server.tuning != Tuning():
                    await self._servers.set_tuning(tenant_id, server_id, server.tuning)
                outcomes.append(Imported(name, server_id, None, server.note))
            except (ConflictError, InvalidInputError, ForbiddenError) as error:
                if isinstance(error, ForbiddenError):
                    record_denial()
                outcomes.append(Imported(name, None, error.message))
        return tuple(outcomes)

    async def change(self, tenant_id: int, server_id: int, change: ServerChange, principal: Principal) -> ServerDetail:
        """Change a server; its sessions end and the next use opens new ones. Raises as `add`, and NotFoundError."""
        changed = await self.preview_change(tenant_id, server_id, change)
        if change.changes_command:
            authorize_stdio(changed, principal, self._settings)
        await self._servers.update(tenant_id, server_id, changed)
        await self._pool.close_server(server_id)
        return await self.get(tenant_id, server_id, principal)

    async def preview_change(self, tenant_id: int, server_id: int, change: ServerChange) -> ServerDefinition:
        """The server as it would be after a change, stored secrets included; raises as `change`."""
        return apply_change(await self._servers.load_definition(tenant_id, server_id), change)

    async def set_credentials(
        self, tenant_id: int, server_id: int, credentials: CredentialsInput, principal: Principal
    ) -> ServerDetail:
        """What the gateway is let in with from now on. Raises NotFoundError, InvalidInputError."""
        await self._servers.set_credential(
            tenant_id, server_id, to_credential(credentials.credential), to_certificate(credentials.certificate)
        )
        await self._pool.close_server(server_id)
        return await self.get(tenant_id, server_id, principal)

    async def personal(self, tenant_id: int, server_id: int) -> PersonalDetail:
        """How each person is let in. Raises NotFoundError."""
        spec = await self._servers.spec(tenant_id, server_id)
        return PersonalDetail(export_personal(PlaceholderNames(spec.name), spec.personal), spec.list_as)

    async def set_personal(
        self, tenant_id: int, server_id: int, given: PersonalInput, principal: Principal
    ) -> ServerDetail:
        """How each person is let in from now on; what was connected of another kind ends.

        Raises NotFoundError, InvalidInputError.
        """
        spec = await self._servers.spec(tenant_id, server_id)
        if given.list_as is not None:
            await Persons(self._database).get(tenant_id, given.list_as)
        entry = {"kind": "none"} if given.personal is None else given.personal
        personal = resolve_personal(spec.name, entry, spec.personal, {})
        await self._servers.set_personal(tenant_id, server_id, personal, given.list_as)
        await self._pool.close_server(server_id)
        return await self.get(tenant_id, server_id, principal)

    async def tune(self, tenant_id: int, server_id: int, tuning: TuningInput, principal: Principal) -> ServerDetail:
        """How a server is used from now on. Raises NotFoundError, InvalidInputError."""
        await self._servers.set_tuning(tenant_id, server_id, Tuning(**asdict(tuning)))
        return await self.get(tenant_id, server_id, principal)

    async def set_enabled(self, tenant_id: int, server_id: int, enabled: bool) -> ServerCard:
        """Switch a server on or off. Off: none of its tools is listed, found or callable. Raises NotFoundError."""
        await self._servers.set_enabled(tenant_id, server_id, enabled)
        if not enabled:
            await self._pool.close_server(server_id)
        return await self._card(tenant_id, await self._servers.get(tenant_id, server_id))

    async def remove(self, tenant_id: int, server_id: int) -> None:
        """Remove a server with its tools, vectors and rules. Raises NotFoundError."""
        await self._servers.remove(tenant_id, server_id)
        await self._pool.close_server(server_id)

    async def check(self, tenant_id: int, server_id: int) -> ConnectionView:
        """Ping a server, connecting it where it is not. Raises NotFoundError, ConflictError for one switched off."""
        record = await self._servers.get(tenant_id, server_id)
        if not record.enabled:
            raise ConflictError(f"{record.name} is switched off; switch it on to check it.")
        await self._pool.check(await self._servers.spec(tenant_id, server_id))
        return build_connection_view(self._pool.status(server_id))

    async def log(self, tenant_id: int, server_id: int) -> str:
        """The last 64 KiB that a stdio server wrote to its standard error output. Raises NotFoundError."""
        await self._servers.get(tenant_id, server_id)
        return (await self._pool.fetch_status(await self._servers.spec(tenant_id, server_id))).stderr

    async def begin_login(
        self, tenant_id: int, server_id: int, redirect_uri: str, browser: str, metadata_url: str
    ) -> str:
        """The address at which a person signs in for the gateway, to come back to `redirect_uri` in this `browser`.

        Raises NotFoundError, InvalidInputError for a server that is not signed in to, UpstreamUnavailableError.
        """
        return await self._logins.begin(tenant_id, server_id, redirect_uri, browser, metadata_url)

    async def _build_cards(self, tenant_id: int, records: Sequence[ServerRecord]) -> tuple[ServerCard, ...]:
        rows = await self._database.fetch("server_review_counts", tenant_id)
        reviews = {row["id"]: ReviewSummary(row["on_change"], row["quarantined"], row["flagged"]) for row in rows}
        # A server that was removed between the two queries is left out.
        return tuple(
            build_server_card(record, self._pool.status(record.id), reviews[record.id])
            for record in records
            if record.id in reviews
        )

    async def _card(self, tenant_id: int, record: ServerRecord) -> ServerCard:
        for card in await self._build_cards(tenant_id, [record]):
            return card
        raise NotFoundError(f"There is no server {record.id} in this tenant.")
