"""A call that lacks its person's credential: asked for in the way that the client can take, and taken up afterwards.

A client of 2026-07-28 gets `input_required` with the link, and comes back with the same call; one of 2025-11-25 the
error -32042, and `notifications/elicitation/complete` once the person is done; any other a sentence with the link.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import URL_ELICITATION_REQUIRED

from gateway.access.caller import Caller
from gateway.access.connections.connections import ConnectionKey, Connections
from gateway.access.connections.links import LINKS_PATH, ConnectionLinks
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.persons import KEY_ISSUER, Person
from gateway.database.notices import Notice, Notices
from gateway.downstream.client_request import ClientRequest, OnNotification
from gateway.downstream.methods.client_requests import CAPABILITY_OF_METHOD
from gateway.errors import CallerTokenNeededError, ConnectionNeededError, ModelGateError
from gateway.upstream.spec import ServerSpec

logger = logging.getLogger(__name__)

_ELICITATION = "elicitation/create"
_QUESTION = "connect"
_STATE = "connect-"
_WAIT_SECONDS = 600.0
_MAX_WAITING = 10_000
_RETRY_PARAMS = ("inputResponses", "requestState")


class _LinkError(MCPError):
    pass


def is_connection_question(error: BaseException) -> bool:
    """Whether it asks for a connection, without which nothing has gone out."""
    return isinstance(error, (_LinkError, ConnectionNeededError, CallerTokenNeededError))


@dataclass(frozen=True, slots=True)
class _WaitingClient:
    """A client that is to hear when a person is done."""

    elicitation_id: str
    notify: OnNotification
    until: float


class ConnectionQuestions:
    """Asks, and knows when it is answered: by the connection itself, in whatever process that is made."""

    def __init__(
        self,
        credentials: PersonalCredentials,
        connections: Connections,
        links: ConnectionLinks,
        notices: Notices,
        public_url: str,
        wait_seconds: float,
    ) -> None:
        """`public_url` is where browsers reach the gateway, empty where that is where clients do. A client that comes
        back before its person is done waits for `wait_seconds`.
        """
        self._credentials = credentials
        self._connections = connections
        self._links = links
        self._public_url = public_url.rstrip("/")
        self._wait_seconds = wait_seconds
        self._waiting: dict[ConnectionKey, list[_WaitingClient]] = {}
        self._changed = asyncio.Condition()
        self._notified = asyncio.Event()
        notices.subscribe(self._on_notice)

    def is_answer(self, request: ClientRequest) -> bool:
        """Whether a client comes back with an answer to what was asked here."""
        state = request.params.get("requestState")
        return isinstance(state, str) and state.startswith(_STATE)

    async def settle(self, request: ClientRequest, spec: ServerSpec) -> None:
        """The client has come back: wait until its person is done, where they said that they would do it.

        Raises ConnectionNeededError where they did not want to.
        """
        if spec.personal is None:
            return
        responses = request.params.get("inputResponses")
        answer = responses.get(_QUESTION) if isinstance(responses, Mapping) else None
        action = answer.get("action") if isinstance(answer, Mapping) else None
        if action in ("decline", "cancel"):
            reason = f"You chose not to connect {spec.name}, and without that it lets nobody in"
            raise ConnectionNeededError(spec.name, spec.id, reason, next_step="repeat the call to be asked again")
        key = await self._connection_key(request.caller, spec)
        with anyio.move_on_after(self._wait_seconds):
            await self._until_connected(key)

    async def ask(self, request: ClientRequest, spec: ServerSpec, needed: ConnectionNeededError) -> dict[str, Any]:
        """The result that asks a modern client. Raises MCPError for one of the handshake that takes links, and
        ConnectionNeededError with the link for all others.
        """
        if not needed.can_connect:
            raise needed
        at = await self._credentials.person_at(request.caller, spec)
        url = await self._link(request.caller, at.person, spec)
        message = f"{needed.reason}. Open the page, connect {spec.name} as yourself, and the call goes on."
        if not _takes_links(request):
            raise ConnectionNeededError(spec.name, spec.id, needed.reason, link=url)
        asked: dict[str, Any] = {"mode": "url", "message": message, "url": url}
        elicitation_id = secrets.token_urlsafe(16)
        if request.era == "modern":
            question = {"method": _ELICITATION, "params": asked}
            return {
                "resultType": "input_required",
                "inputRequests": {_QUESTION: question},
                "requestState": _STATE + elicitation_id,
            }
        if request.notify_session is not None:
            self._remember((spec.tenant_id, at.person.id, spec.id), elicitation_id, request.notify_session)
        raise _LinkError(
            code=URL_ELICITATION_REQUIRED,
            message=f"{needed.reason}; connect it at {url} , then repeat the call.",
            data={"elicitations": [{**asked, "elicitationId": elicitation_id}]},
        )

    async def run(self) -> None:
        """Tell clients whose persons are done, for as long as the gateway runs."""
        while True:
            await self._notified.wait()
            self._notified.clear()
            async with self._changed:
                self._changed.notify_all()
            for key in list(self._waiting):
                try:
                    await self._tell(key)
                except ModelGateError as error:
                    logger.info("Whether a person has connected a server is looked at later: %s", error)

    async def _tell(self, key: ConnectionKey) -> None:
        now = time.monotonic()
        waiting = [client for client in self._waiting[key] if client.until > now]
        if waiting and await self._connections.get(*key) is not None:
            for client in waiting:
                params = {"elicitationId": client.elicitation_id}
                await client.notify("notifications/elicitation/complete", params)
            waiting = []
        if waiting:
            self._waiting[key] = waiting
        else:
            self._waiting.pop(key, None)

    async def _until_connected(self, key: ConnectionKey) -> None:
        async with self._changed:
            while await self._connections.get(*key) is None:
                await self._changed.wait()

    def _remember(self, key: ConnectionKey, elicitation_id: str, notify: OnNotification) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        clients = self._waiting.setdefault(key, [])
        clients.append(_WaitingClient(elicitation_id, notify, time.monotonic() + _WAIT_SECONDS))
        del clients[:-100]

    async def _link(self, caller: Caller, person: Person, spec: ServerSpec) -> str:
        key_id = caller.key_id if person.issuer == KEY_ISSUER else None
        token = await self._links.make(person, spec.id, key_id)
        return f"{self._public_url or caller.base_url}{LINKS_PATH}/{token}"

    async def _connection_key(self, caller: Caller, spec: ServerSpec) -> ConnectionKey:
        at = await self._credentials.person_at(caller, spec)
        return spec.tenant_id, at.person.id, spec.id

    def _on_notice(self, notice: Notice) -> None:
        if notice.person_id is not None or notice.tenant_id is None:
            self._notified.set()


def without_answer(params: Mapping[str, Any]) -> dict[str, Any]:
    """The call as it was made first: the answer is to the gateway, and no server's concern."""
    return {name: value for name, value in params.items() if name not in _RETRY_PARAMS}


def _takes_links(request: ClientRequest) -> bool:
    declared = request.capabilities.get(CAPABILITY_OF_METHOD[_ELICITATION])
    return isinstance(declared, Mapping) and isinstance(declared.get("url"), Mapping)
