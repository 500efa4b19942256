"""Requests that stay open, and end with the credential that opened them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.database.notices import Notices
from gateway.downstream.protocol.authentication import Authentication, bind_caller, bound_caller
from gateway.errors import CredentialError, DatabaseError, NotFoundError, RoleMissingError, SignInUnavailableError

_CHECK_EVERY_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _OpenRequest:
    scope: Scope
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    error: CredentialError | RoleMissingError | NotFoundError | None = None


class CredentialRevalidator:
    """Checks after each change, and each second as keys expire, whether the keys of open requests are in force."""

    def __init__(
        self, authentication: Authentication, notices: Notices, on_roles_changed: Callable[[Scope], None]
    ) -> None:
        """`on_roles_changed` is called with an open request whose caller has other roles than before."""
        self._authentication = authentication
        self._on_roles_changed = on_roles_changed
        self._open: set[_OpenRequest] = set()
        self._wake = asyncio.Event()
        notices.subscribe(lambda _: self._wake.set())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check until the block ends."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def end_all(self) -> None:
        """Have the clients of all open requests seem to leave."""
        for request in self._open:
            request.ended.set()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request through `app`, to which the client seems to leave when its key ends."""
        request = _OpenRequest(scope)
        self._open.add(request)
        body_read = answered = False

        async def send_noted(message: Message) -> None:
            nonlocal answered
            if request.error is not None and not answered:
                # The answer came in the same moment; it is for nobody any more.
                return
            answered = True
            await send(message)

        async def receive_until_ended() -> Message:
            nonlocal body_read
            if not body_read:
                message = await receive()
                body_read = not message.get("more_body", False)
                return message
            left = asyncio.ensure_future(receive())
            ended = asyncio.ensure_future(request.ended.wait())
            try:
                await asyncio.wait((left, ended), return_when=asyncio.FIRST_COMPLETED)
                return left.result() if left.done() else {"type": "http.disconnect"}
            finally:
                left.cancel()
                ended.cancel()

        try:
            await app(scope, receive_until_ended, send_noted)
        finally:
            self._open.discard(request)
        if request.error is not None and not answered:
            await self._authentication.refuse(request.error, scope)(scope, receive, send)

    async def _follow(self) -> None:
        while True:
            with anyio.move_on_after(_CHECK_EVERY_SECONDS):
                await self._wake.wait()
            self._wake.clear()
            for request in list(self._open):
                try:
                    await self._revalidate(request)
                except SignInUnavailableError:
                    continue
                except DatabaseError:
                    break

    async def _revalidate(self, request: _OpenRequest) -> None:
        try:
            caller = await self._authentication.authenticate(request.scope)
        except (CredentialError, RoleMissingError, NotFoundError) as error:
            request.error = error
            request.ended.set()
            return
        before = bound_caller(request.scope)
        if before is not None and before.role_ids != caller.role_ids:
            bind_caller(request.scope, caller)
            self._on_roles_changed(request.scope)
