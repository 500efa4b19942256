"""Requests that stay open, and end with the credential that opened them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.database.notices import Notices
from gateway.downstream.protocol.authentication import Authentication, bind
from gateway.errors import CredentialError, DatabaseError, NotFoundError, RoleMissingError, SignInUnavailableError

_LOOK_EVERY_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Open:
    scope: Scope
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: CredentialError | RoleMissingError | NotFoundError | None = None


class CredentialRevalidator:
    """Looks after each change, and each second as keys expire, whether the keys of open requests are in force."""

    def __init__(self, authentication: Authentication, notices: Notices, on_roles: Callable[[Scope], None]) -> None:
        """`on_roles` is told of an open request whose caller has other roles than before."""
        self._authentication = authentication
        self._on_roles = on_roles
        self._open: set[_Open] = set()
        self._stir = asyncio.Event()
        notices.subscribe(lambda _: self._stir.set())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look until the block ends."""
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request through `app`, to which the client seems to leave when its key ends."""
        entry = _Open(scope)
        self._open.add(entry)
        body_read = answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        async def until_ended() -> Message:
            nonlocal body_read
            if not body_read:
                message = await receive()
                body_read = not message.get("more_body", False)
                return message
            left = asyncio.ensure_future(receive())
            ended = asyncio.ensure_future(entry.ended.wait())
            try:
                await asyncio.wait((left, ended), return_when=asyncio.FIRST_COMPLETED)
                return left.result() if left.done() else {"type": "http.disconnect"}
            finally:
                left.cancel()
                ended.cancel()

        try:
            await app(scope, until_ended, noted)
        finally:
            self._open.discard(entry)
        if entry.why is not None and not answered:
            await self._authentication.refusal(entry.why, scope)(scope, receive, send)

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stir.wait(), _LOOK_EVERY_SECONDS)
            self._stir.clear()
            for entry in list(self._open):
                try:
                    caller = await self._authentication.let_in(entry.scope)
                    before: Caller | None = entry.scope.get("state", {}).get("caller")
                    if before is not None and before.role_ids != caller.role_ids:
                        bind(entry.scope, caller)
                        self._on_roles(entry.scope)
                except (CredentialError, RoleMissingError, NotFoundError) as error:
                    entry.why = error
                    entry.ended.set()
                except SignInUnavailableError:
                    continue
                except DatabaseError:
                    break
