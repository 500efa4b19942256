"""`/v1/approvals`: calls that wait for a person, for keys with the right `approve`, and the answer of the webhook."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.caller import Caller
from gateway.access.connections.named_person import named_person, names_at
from gateway.catalog.servers.server import Servers
from gateway.database.actor import Actor, acting_as
from gateway.downstream.admission import AdmissionControl
from gateway.downstream.protocol.authentication import Authentication
from gateway.downstream.protocol.origin_guard import OriginGuard
from gateway.errors import (
    ConflictError,
    CredentialError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidInputError,
    LimitError,
    ModelGateError,
    NotFoundError,
    OverloadedError,
    RoleMissingError,
    SettingsError,
    SignInUnavailableError,
)
from gateway.guards.approval.approval_card import approval_card, approval_detail
from gateway.guards.approval.approval_webhook import ANSWER_PATH, ApprovalAnswer, parse_answer
from gateway.guards.approval.call_approval import Approver
from gateway.guards.approval.call_approvals import CallApprovals
from gateway.guards.signature import is_signed
from gateway.json_codec import encode
from gateway.settings import ApprovalSettings, ServerSettings

APPROVALS_PATH = "/v1/approvals"

_MAX_BODY_BYTES = 16 * 1024
_LISTED = 100
_STATUS: tuple[tuple[tuple[type[ModelGateError], ...], int], ...] = (
    ((CredentialError,), 401),
    ((ForbiddenError, RoleMissingError), 403),
    ((NotFoundError,), 404),
    ((ConflictError,), 409),
    ((InvalidInputError,), 400),
    ((LimitError,), 429),
    ((DatabaseUnavailableError, SignInUnavailableError, OverloadedError, SettingsError), 503),
)


class ApprovalsApi:
    """Lists, shows and decides. A key decides in its own tenant, a chat tool about what it was told of."""

    def __init__(
        self,
        authentication: Authentication,
        admission: AdmissionControl,
        approvals: CallApprovals,
        servers: Servers,
        settings: ApprovalSettings,
        server: ServerSettings,
    ) -> None:
        self._authentication = authentication
        self._admission = admission
        self._approvals = approvals
        self._servers = servers
        self._secret = settings.webhook_secret if settings.webhook_url else ""
        self._origin_guard = OriginGuard(server)

    def routes(self) -> list[Route]:
        """Those that wait, one of them, and the decision; the answer to the webhook."""
        return [
            Route(APPROVALS_PATH, self._list, methods=["GET"]),
            Route(f"{APPROVALS_PATH}/{{approval}}", self._get, methods=["GET"]),
            Route(f"{APPROVALS_PATH}/{{approval}}", self._decide, methods=["POST"]),
            Route(ANSWER_PATH, self._answer_webhook, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        async def answer(caller: Caller) -> Response:
            found = await self._approvals.list(caller.tenant_id, waiting=True, limit=_LISTED)
            return _json({"approvals": [_plain(asdict(approval_card(approval))) for approval in found]})

        return await self._for_key(request, answer)

    async def _get(self, request: Request) -> Response:
        async def answer(caller: Caller) -> Response:
            approval = await self._approvals.get(caller.tenant_id, request.path_params["approval"])
            arguments = await self._approvals.arguments(approval)
            changed = await self._approvals.is_outdated(approval)
            return _json(_plain(asdict(approval_detail(approval, arguments, changed=changed))))

        return await self._for_key(request, answer)

    async def _decide(self, request: Request) -> Response:
        async def answer(caller: Caller) -> Response:
            given = parse_answer(await _read_body(request), named=False)
            approver = await self._approver(caller, request.path_params["approval"])
            actor = Actor("key", caller.key_name, caller.key_id or None, address=caller.address)
            with acting_as(actor):
                return await self._decided(caller.tenant_id, request, approver, given)

        return await self._for_key(request, answer)

    async def _approver(self, caller: Caller, approval_id: str) -> Approver:
        """Who a key decides as. Raises ApprovalNotFoundError."""
        approval = await self._approvals.get(caller.tenant_id, approval_id)
        named: frozenset[str] = frozenset()
        with suppress(NotFoundError):
            spec = await self._servers.spec(caller.tenant_id, approval.server_id)
            named = names_at(spec, caller.person, caller.key_name) | ({named_person(caller, spec)} - {""})
        return Approver(caller.key_name, "key", caller.key_id, caller.person, named)

    async def _answer_webhook(self, request: Request) -> Response:
        """The signature is all that is asked for: who has the secret is the chat tool."""

        async def answer() -> Response:
            body = await _read_body(request)
            if not self._secret or not is_signed(self._secret, request.headers, body):
                raise CredentialError(
                    "The answer is not signed, or not lately; send webhook-id, webhook-timestamp and webhook-signature "
                    "made with approval.webhook_secret."
                )
            given = parse_answer(body, named=True)
            if given.id != request.path_params["approval"]:
                # Else a signed answer could be sent again, to what somebody else asked.
                raise InvalidInputError("id has to be the approval that the answer is sent to.", "id")
            approval = await self._approvals.get_of_any_tenant(request.path_params["approval"])
            address = request.client.host if request.client is not None else ""
            named: frozenset[str] = frozenset()
            with suppress(NotFoundError):
                named = names_at(await self._servers.spec(approval.tenant_id, approval.server_id), None, given.by)
            with acting_as(Actor("gateway", f"webhook: {given.by}", address=address)):
                approver = Approver(given.by, "webhook", named=named)
                return await self._decided(approval.tenant_id, request, approver, given)

        return await _answered(answer)

    async def _decided(self, tenant_id: int, request: Request, approver: Approver, given: ApprovalAnswer) -> Response:
        approval = await self._approvals.decide(
            tenant_id, request.path_params["approval"], approver, given.decision, given.reason
        )
        return _json(_plain(asdict(approval_card(approval))))

    async def _for_key(self, request: Request, answer: Callable[[Caller], Awaitable[Response]]) -> Response:
        """What `answer` gives a caller that has the right, else what was wrong."""
        refused = self._origin_guard.check(request.headers)
        if refused is not None:
            return refused

        async def admitted() -> Response:
            caller = await self._authentication.authenticate(request.scope)
            self._authentication.require_right(caller, "approve", request.url.path)
            await self._authentication.count_request(caller)
            with await self._admission.admit(caller.tenant_id):
                return await answer(caller)

        return await _answered(admitted)


async def _answered(answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except ClientDisconnect:
        return _json({"error": {"code": "invalid-input", "message": "The request ended before its body did."}}, 400)
    except ModelGateError as error:
        status = next((status for kinds, status in _STATUS if isinstance(error, kinds)), None)
        if status is None:
            raise
        response = _json({"error": {"code": error.error_code, "message": error.message}}, status)
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="modelgate"'
        if isinstance(error, LimitError):
            response.headers["Retry-After"] = str(error.retry_after)
        return response


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise InvalidInputError(f"A decision has at most {_MAX_BODY_BYTES:,} bytes.")
    return bytes(body)


def _plain(value: Any) -> Any:
    """A value with its times as text."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")
