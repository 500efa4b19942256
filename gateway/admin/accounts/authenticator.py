"""How people and their scripts prove who they are: a password, the link for the first admin, a token, a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.admin.accounts.account import Accounts, Admin
from gateway.admin.accounts.lockout import Lockout
from gateway.admin.accounts.password import PasswordHasher
from gateway.admin.accounts.principal import Principal
from gateway.admin.accounts.session import AdminSessions
from gateway.admin.accounts.setup import FirstAdminSetup
from gateway.admin.accounts.token import PREFIX, ApiTokens
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import Actor
from gateway.database.pool import Database
from gateway.errors import CredentialError, ForbiddenError, InvalidInputError, LockedOutError, SignInRequiredError

_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class NewSession:
    """Somebody has signed in; `session` goes into the cookie and nowhere else."""

    admin: Admin
    session: str


class Authenticator:
    """Signs people in and out, and knows sessions and tokens again."""

    def __init__(
        self,
        database: Database,
        passwords: PasswordHasher,
        accounts: Accounts,
        sessions: AdminSessions,
        tokens: ApiTokens,
        setup: FirstAdminSetup,
        recorder: AuditRecorder,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens
        self._setup = setup
        self._recorder = recorder
        self._lockout = Lockout(database)

    async def sign_in(self, name: str, password: str, address: str) -> NewSession:
        """Open a session for a name and password from a network address.

        Raises CredentialError, in the same words and time for an unknown name as for a wrong password, and
        LockedOutError after repeated failures.
        """
        name = name.strip()[:_NAME_LENGTH].replace("\x00", "")
        try:
            await self._lockout.count_attempt(name, address)
        except LockedOutError:
            self._audit(Actor("admin", name, address=address), "denied")
            raise
        row = await self._database.fetchrow("admin_password", name)
        check = await self._passwords.verify(None if row is None else row["password_hash"], password)
        if row is None or not check.correct:
            self._audit(Actor("admin", name, address=address), "denied")
            raise CredentialError("The name or the password is wrong.")
        await self._lockout.clear(name, address)
        if check.new_hash is not None:
            await self._database.execute("rehash_admin_password", row["id"], check.new_hash)
        return await self.open_session(await self._accounts.get(row["id"]), address)

    async def complete_setup(self, token: str, name: str, password: str, address: str) -> NewSession:
        """Make the first admin and sign them in; raises as `FirstAdminSetup.complete`."""
        return await self.open_session(await self._setup.complete(token, name, password), address)

    async def open_session(self, admin: Admin, address: str) -> NewSession:
        """A session for somebody who has proven who they are."""
        session = await self._sessions.open(admin, address)
        self._audit(Actor("admin", admin.name, admin.id, (admin.role,), address), "ok")
        return NewSession(admin, session)

    async def authenticate_session(self, session: str | None) -> Principal:
        """Who a session belongs to. Raises SignInRequiredError."""
        principal = await self._sessions.authenticate(session) if session else None
        if principal is None:
            raise SignInRequiredError("You are not signed in, or your session has ended; sign in again.")
        return principal

    async def authenticate_token(self, token: str) -> Principal:
        """Who an API token belongs to. Raises SignInRequiredError."""
        principal = await self._tokens.authenticate(token)
        if principal is None:
            raise SignInRequiredError(
                f"The token is unknown, expired or removed; an admin's token begins with {PREFIX} and is made under "
                "/api/v1/tokens."
            )
        return principal

    async def change_password(self, principal: Principal, current: str, new: str, address: str) -> None:
        """A new password for who asks, who has to know the present one; their other sessions end.

        Raises InvalidInputError for a wrong or unusable password, ForbiddenError without a session, LockedOutError.
        """
        if principal.via != "session":
            raise ForbiddenError("A password is changed by who has signed in with it, not with a token.")
        await self._lockout.count_attempt(principal.admin.name, address)
        row = await self._database.fetchrow("admin_password", principal.admin.name)
        check = await self._passwords.verify(None if row is None else row["password_hash"], current)
        if not check.correct:
            raise InvalidInputError("current_password is wrong.", "current_password")
        await self._lockout.clear(principal.admin.name, address)
        try:
            await self._accounts.set_password(principal.admin.id, new, principal.session_hash)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, "new_password") from None

    async def sign_out(self, principal: Principal) -> None:
        """End the session that this request came with; a token stays."""
        if principal.session_hash is not None:
            await self._sessions.close(principal.session_hash)

    def _audit(self, actor: Actor, outcome: Literal["ok", "denied"]) -> None:
        self._recorder.record(AuditEvent(actor, "admin.signed in", actor.name, outcome))
