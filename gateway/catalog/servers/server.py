"""The upstream servers of a tenant, as the catalogue keeps them."""

from __future__ import annotations

from dataclasses import replace

from gateway.access.roles import refresh_visibility
from gateway.catalog.naming import slugify
from gateway.catalog.secrets.oauth_grants import GrantRenewals, StoredGrant
from gateway.catalog.secrets.sealed_texts import personal_owner, secrets_owner
from gateway.catalog.servers.server_definition import ServerDefinition, ServerSecrets, check_server_definition
from gateway.catalog.servers.server_record import (
    ServerRecord,
    list_server_records,
    read_server_record,
    server_record_by_name,
)
from gateway.catalog.servers.tuning import Tuning, parse_tuning
from gateway.database.connection import Row
from gateway.database.notices import Notices
from gateway.database.notified_cache import NotifiedCache
from gateway.database.pool import Database
from gateway.errors import ConflictError, InvalidInputError, NotFoundError
from gateway.settings import UpstreamSettings
from gateway.upstream.credentials.credential import ClientCertificate, Credential, credential_kind
from gateway.upstream.credentials.personal import (
    PersonalKind,
    PersonalSecret,
    check_personal,
    personal_from_dict,
    personal_kind,
    personal_to_dict,
)
from gateway.upstream.policy import DEFAULT_POLICY, ConnectionPolicy
from gateway.upstream.spec import ServerSpec
from gateway.vault import Vault


class Servers:
    """Adds, reads and removes the servers of tenants."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        settings: UpstreamSettings,
        notices: Notices | None = None,
        policy: ConnectionPolicy = DEFAULT_POLICY,
    ) -> None:
        self._database = database
        self._specs: NotifiedCache[int, ServerSpec] = NotifiedCache(notices)
        self._vault = vault
        self._settings = settings
        self._policy = policy
        self._renewals = GrantRenewals()

    async def aclose(self) -> None:
        """Let renewals of tokens end; to be called when no session needs any, and while the database is open."""
        await self._renewals.aclose()

    def check(self, server: ServerDefinition) -> None:
        """Raises InvalidInputError for a server that cannot be, as `add` does."""
        check_server_definition(server, self._policy)

    async def add(self, tenant_id: int, server: ServerDefinition, *, enabled: bool = True) -> int:
        """Add a server and return its id; one that is not `enabled` is not connected to until it is.

        Raises InvalidInputError for a server that cannot be, ConflictError when the name is taken.
        """
        check_server_definition(server, self._policy)
        slug = await self._free_slug(tenant_id, server.name)
        server_id: int = await self._database.fetchval("next_server_id")
        try:
            async with self._database.tenant_transaction(tenant_id) as transaction:
                await transaction.execute(
                    "insert_server",
                    tenant_id,
                    server_id,
                    server.name,
                    slug,
                    server.description,
                    server.transport,
                    server.command,
                    list(server.args),
                    server.cwd,
                    server.url,
                    self._vault.seal(server.secrets.to_dict(), secrets_owner(tenant_id, server_id)),
                    {},
                    server.prefix,
                    "none" if server.credential is None else credential_kind(server.credential),
                    server.document,
                    server.document_url,
                    enabled,
                )
                await transaction.execute("bump_catalogue_version", tenant_id)
        except ConflictError:
            raise ConflictError(
                f"There is a server named {server.name!r} already; choose another name or remove that one first."
            ) from None
        return server_id

    async def list(self, tenant_id: int) -> list[ServerRecord]:
        """All servers by name."""
        return await list_server_records(self._database, tenant_id)

    async def get(self, tenant_id: int, server_id: int) -> ServerRecord:
        """The server of that number. Raises NotFoundError."""
        for row in await self._database.fetch("list_servers", tenant_id, server_id):
            return read_server_record(row)
        raise NotFoundError(f"There is no server {server_id} in this tenant.")

    async def get_by_name(self, tenant_id: int, name: str) -> ServerRecord:
        """The server with this name or slug. Raises NotFoundError and names those that are there."""
        return await server_record_by_name(self._database, tenant_id, name)

    async def load_definition(self, tenant_id: int, server_id: int) -> ServerDefinition:
        """The server as it was added or last changed, read anew, its secrets opened. Raises NotFoundError."""
        return self._definition(await self._row(tenant_id, server_id))

    async def update(self, tenant_id: int, server_id: int, server: ServerDefinition) -> None:
        """Make a server what `server` says; its slug and prefix stay, and with them the names of its tools.

        Credential, certificate and document stay where `server` has none; `set_credential` takes the former away. With
        another destination credential and certificate do not stay, and `server` has no header that was stored for the
        one before. The transport cannot change. Raises NotFoundError, InvalidInputError and ConflictError as `add`.
        """
        row = await self._row(tenant_id, server_id)
        before = self._definition(row)
        server = replace(
            server,
            document=server.document or (None if server.document_url else before.document),
            document_url=server.document_url or (None if server.document else before.document_url),
        )
        if server.destination == before.destination:
            server = replace(
                server,
                credential=server.credential or before.credential,
                certificate=server.certificate or before.certificate,
            )
        await self._write(row, before, server)

    async def set_credential(
        self, tenant_id: int, server_id: int, credential: Credential | None, certificate: ClientCertificate | None
    ) -> None:
        """What the gateway is let in with from now on; None is nothing. Raises as `update`."""
        row = await self._row(tenant_id, server_id)
        before = self._definition(row)
        await self._write(row, before, replace(before, credential=credential, certificate=certificate))

    async def set_personal(
        self, tenant_id: int, server_id: int, personal: PersonalKind | None, list_as: int | None = None
    ) -> None:
        """Let each person in as who they are from now on, or (None) all by the server's own credential.

        `list_as` is the person by whose connection the server is listed. What was connected of another kind ends.
        Raises NotFoundError and InvalidInputError.
        """
        row = await self._row(tenant_id, server_id)
        check_personal(personal, row["transport"])
        if isinstance(personal, PersonalSecret) and personal.place == "env":
            reason = self._policy.personal_variable_refusal(row["command"] or "", personal.name)
            if reason is not None:
                raise InvalidInputError(f"Persons may not set this variable of {row['name']}: {reason}.", "name")
        values = personal_to_dict(personal)
        async with self._database.tenant_transaction(tenant_id) as transaction:
            await transaction.execute(
                "set_server_personal",
                tenant_id,
                server_id,
                None if personal is None else personal_kind(personal),
                None if values is None else self._vault.seal(values, personal_owner(tenant_id, server_id)),
                None if personal is None else list_as,
            )
            await transaction.execute("bump_catalogue_version", tenant_id)

    async def set_tuning(self, tenant_id: int, server_id: int, tuning: Tuning) -> None:
        """How a server is used from now on. Raises NotFoundError and InvalidInputError."""
        tuning.validate()
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute(
                "set_server_tuning",
                tenant_id,
                server_id,
                tuning.limits,
                tuning.session,
                tuning.idle_stop_seconds,
                tuning.sync_every_seconds,
            ):
                raise NotFoundError(f"There is no server {server_id} in this tenant.")
            await transaction.execute("bump_catalogue_version", tenant_id)

    async def _write(self, row: Row, before: ServerDefinition, server: ServerDefinition) -> None:
        check_server_definition(server, self._policy)
        # Tokens are for the server, and by the client, that they were asked for.
        keeps_grant = all(
            getattr(server, name) == getattr(before, name) for name in ("url", "document_url", "credential")
        )
        try:
            async with self._database.tenant_transaction(row["tenant_id"]) as transaction:
                await transaction.execute(
                    "update_server",
                    row["tenant_id"],
                    row["id"],
                    server.name,
                    server.description,
                    server.command,
                    list(server.args),
                    server.cwd,
                    server.url,
                    self._vault.seal(server.secrets.to_dict(), secrets_owner(row["tenant_id"], row["id"])),
                    "none" if server.credential is None else credential_kind(server.credential),
                    server.document,
                    server.document_url,
                    keeps_grant,
                )
                if server.destination != before.destination:
                    await transaction.execute("end_connections_of_server", row["tenant_id"], row["id"])
                await transaction.execute("bump_catalogue_version", row["tenant_id"])
        except ConflictError:
            raise ConflictError(f"There is a server named {server.name!r} already; choose another name.") from None

    async def set_enabled(self, tenant_id: int, server_id: int, enabled: bool) -> None:
        """Switch a server on, or off with all its tools. Raises NotFoundError."""
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute("set_server_enabled", tenant_id, server_id, enabled):
                raise NotFoundError(f"There is no server {server_id} in this tenant.")
            await refresh_visibility(transaction, tenant_id, server_id=server_id)

    async def remove(self, tenant_id: int, server_id: int) -> None:
        """Remove a server with its tools, vectors and rules. Raises NotFoundError."""
        async with self._database.tenant_transaction(tenant_id) as transaction:
            if not await transaction.execute("delete_server", tenant_id, server_id):
                raise NotFoundError(f"There is no server {server_id} in this tenant.")
            await refresh_visibility(transaction, tenant_id, server_id=server_id)

    async def spec(self, tenant_id: int, server_id: int) -> ServerSpec:
        """What it takes to connect to a server, its secrets opened. Raises NotFoundError."""
        return await self._specs.get(tenant_id, server_id, lambda: self._read_spec(tenant_id, server_id))

    async def _read_spec(self, tenant_id: int, server_id: int) -> ServerSpec:
        row = await self._row(tenant_id, server_id)
        secrets = self._secrets(row)
        tuning = parse_tuning(row)
        return ServerSpec(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            slug=row["slug"],
            transport=row["transport"],
            command=row["command"],
            args=tuple(row["args"]),
            env=secrets.env,
            cwd=row["cwd"],
            url=row["url"],
            headers=secrets.headers,
            credential=secrets.credential,
            certificate=secrets.certificate,
            grants=StoredGrant(row["tenant_id"], row["id"], self._database, self._vault, self._renewals),
            personal=self._personal(row),
            list_as=row["list_as"],
            document=row["document"],
            document_url=row["document_url"],
            connect_timeout=_or_default(tuning.connect_timeout_seconds, self._settings.connect_timeout_seconds),
            start_timeout=_or_default(tuning.start_timeout_seconds, self._settings.start_timeout_seconds),
            list_timeout=_or_default(tuning.list_timeout_seconds, self._settings.list_timeout_seconds),
            call_timeout=_or_default(tuning.call_timeout_seconds, self._settings.call_timeout_seconds),
            max_calls=int(_or_default(tuning.max_calls_in_flight, self._settings.max_calls_in_flight)),
            session=tuning.session,
            idle_stop_seconds=tuning.idle_stop_seconds,
            prefix=row["prefix"],
            policy=self._policy,
        )

    def _personal(self, row: Row) -> PersonalKind | None:
        """Raises SettingsError where what goes with the kind is gone, or sealed with another key: nobody is let in."""
        if row["personal"] is None:
            return None
        owner = personal_owner(row["tenant_id"], row["id"])
        return personal_from_dict(self._vault.open(row["sealed_personal"] or b"", owner))

    def _secrets(self, row: Row) -> ServerSecrets:
        if row["sealed_secrets"] is None:
            return ServerSecrets()
        return ServerSecrets.from_dict(
            self._vault.open(row["sealed_secrets"], secrets_owner(row["tenant_id"], row["id"]))
        )

    async def _row(self, tenant_id: int, server_id: int) -> Row:
        row = await self._database.fetchrow("server_by_id", tenant_id, server_id)
        if row is None:
            raise NotFoundError(f"There is no server {server_id} in this tenant.")
        return row

    def _definition(self, row: Row) -> ServerDefinition:
        secrets = self._secrets(row)
        return ServerDefinition(
            name=row["name"],
            transport=row["transport"],
            command=row["command"],
            args=tuple(row["args"]),
            env=secrets.env,
            cwd=row["cwd"],
            url=row["url"],
            headers=secrets.headers,
            description=row["description"],
            prefix=row["prefix"],
            credential=secrets.credential,
            certificate=secrets.certificate,
            document=row["document"],
            document_url=row["document_url"],
        )

    async def _free_slug(self, tenant_id: int, name: str) -> str:
        taken = {server.slug for server in await self.list(tenant_id)}
        slug = slugify(name)
        numbered, number = slug, 2
        while numbered in taken:
            numbered, number = f"{slug}_{number}", number + 1
        return numbered


def _or_default(limit: float | None, default: float) -> float:
    return default if limit is None else limit
