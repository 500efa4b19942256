"""Sign-ins of persons at the authorization servers of servers, from where each was sent until they come back."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from gateway.access.persons import KEY_ISSUER, Identity, Person
from gateway.database.pool import Database
from gateway.errors import InvalidInputError, SettingsError
from gateway.upstream.oauth.login import OAuthLogin
from gateway.upstream.policy import ConnectionPolicy
from gateway.vault import Vault

_SIGN_IN_SECONDS = 600.0
# Somebody who begins ever anew takes no more room than this.
_MAX_OF_PERSON = 20


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """Somebody who came back; `link` is what the sign-in was begun with."""

    tenant_id: int
    person_id: int
    server_id: int
    link: str
    login: OAuthLogin = field(repr=False)


class PendingSignIns:
    """Sign-ins under way, each good for ten minutes, for one answer, and for the browser that began it.

    They are kept in the database, sealed: whichever process the browser comes back to knows them.
    """

    def __init__(self, database: Database, vault: Vault, policy: ConnectionPolicy) -> None:
        self._database = database
        self._vault = vault
        self._policy = policy

    async def add(self, person: Person, server_id: int, login: OAuthLogin, browser: str, link: str) -> None:
        """Remember whom `login` is of. `browser` is a secret that only their browser has."""
        state_hash = _hash(login.state)
        sealed = self._vault.seal(login.to_dict(), _owner(state_hash, person.tenant_id, person.id, server_id))
        await self._database.execute(
            "insert_person_sign_in",
            state_hash,
            person.tenant_id,
            person.id,
            server_id,
            _hash(browser),
            link,
            sealed,
            _SIGN_IN_SECONDS,
            _MAX_OF_PERSON,
        )

    async def claim(self, state: str, browser: str, signed_in: Identity | None = None) -> PendingSignIn | None:
        """Whose sign-in has this `state`, which is good for nothing afterwards; None where there is none.

        `signed_in` is who has signed in to the gateway in that browser, None where that cannot be told. Raises
        InvalidInputError for another browser or person, who take nothing, and for an answer that came twice.
        """
        state_hash = _hash(state)
        row = await self._database.fetchrow("person_sign_in", state_hash)
        if row is None:
            return None
        if not hmac.compare_digest(bytes(row["browser_hash"]), _hash(browser)):
            raise InvalidInputError("This sign-in was begun in another browser; begin again in this one.")
        person = Identity(row["issuer"], row["subject"])
        # Behind a key that nobody owns is whoever has it, signed in as somebody or not.
        if signed_in is not None and person.issuer != KEY_ISSUER and signed_in != person:
            raise InvalidInputError(
                "Somebody else began this sign-in in this browser, so nothing is connected; begin again as yourself."
            )
        if not await self._database.execute("take_person_sign_in", state_hash):
            raise InvalidInputError("Nobody waits for this sign-in any more; begin again.")
        place = (row["tenant_id"], row["person_id"], row["server_id"])
        try:
            values = self._vault.open(row["sealed"], _owner(state_hash, *place))
        except SettingsError:
            raise InvalidInputError("Nobody waits for this sign-in any more; begin again.") from None
        return PendingSignIn(*place, row["link"], OAuthLogin.from_dict(values, self._policy))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _owner(state_hash: bytes, tenant_id: int, person_id: int, server_id: int) -> str:
    return f"sign-in {state_hash.hex()} of person {person_id} to server {server_id} of tenant {tenant_id}"
