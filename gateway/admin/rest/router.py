"""The routes of the REST API: each request is judged, read, done, and answered as JSON."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.tenants import Tenant
from gateway.admin.accounts.principal import Principal
from gateway.admin.guard import TENANT_PARAMETER, Guard, actor_of, address_of
from gateway.admin.problem import problem_response
from gateway.admin.reading import adapter_of, read_json, read_query
from gateway.admin.rest.operation import Operation, RestContext
from gateway.admin.services import Services
from gateway.audit.events import AuditEvent
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import acting_as
from gateway.errors import ForbiddenError, HttpError, ModelGateError, NotFoundError

logger = logging.getLogger(__name__)

PREFIX = "/api/v1"

_LARGEST_ID = 2**63 - 1


class ApiRouter:
    """Makes routes of operations."""

    def __init__(self, actions: Services, guard: Guard, recorder: AuditRecorder, maximum_body_bytes: int) -> None:
        self._actions = actions
        self._guard = guard
        self._recorder = recorder
        self._maximum = maximum_body_bytes

    def routes(self, operations: Iterable[Operation]) -> list[Route]:
        """One route for each path, and one for all paths that are not there."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        routes = [self._route(path, methods) for path, methods in by_path.items()]
        return [*routes, Route("/api/{path:path}", _Told(self._nothing))]

    def _route(self, path: str, methods: Mapping[str, Operation]) -> Route:
        async def answer(request: Request) -> Response:
            operation = methods.get("GET" if request.method == "HEAD" else request.method)
            if operation is None:
                allowed = ", ".join(sorted(methods))
                raise HttpError(405, f"{request.method} is not possible here; there is {allowed}.", Allow=allowed)
            return await self._answer(operation, request)

        return Route(PREFIX + path, _Told(answer))

    async def _nothing(self, request: Request) -> Response:
        raise NotFoundError("There is nothing at this address; /api/openapi.json describes what there is.")

    async def _answer(self, operation: Operation, request: Request) -> Response:
        self._guard.check_host(request)
        self._guard.check_origin(request)
        principal = None if operation.open else await self._let_in(operation, request)
        tenant: Tenant | None = None
        if operation.of_tenant and principal is not None:
            tenant = await self._guard.tenant(request, principal)
        arguments = _parameters(operation, request)
        if operation.query is not None:
            arguments["query"] = read_query(operation.query, _query(request))
        if operation.body is not None:
            arguments["body"] = read_json(operation.body, await self._body(request))
        visit = RestContext(self._actions, self._guard, request, address_of(request), principal, tenant)
        with contextlib.nullcontext() if principal is None else acting_as(actor_of(principal, visit.address)):
            try:
                result = await operation.handle(visit, **arguments)
            except ForbiddenError:
                self._trace_denial(operation, request, principal, tenant)
                raise
        if isinstance(result, Response):
            return result
        if operation.returns is None:
            return Response(status_code=operation.status)
        return json_response(operation.returns, result, operation.status)

    async def _let_in(self, operation: Operation, request: Request) -> Principal:
        principal = await self._guard.principal(request)
        await self._guard.check_csrf(request, principal)
        try:
            if operation.changes:
                principal.require_change()
            if operation.everywhere:
                principal.require_every_tenant()
        except ForbiddenError:
            self._trace_denial(operation, request, principal, None)
            raise
        return principal

    def _trace_denial(
        self, operation: Operation, request: Request, principal: Principal | None, tenant: Tenant | None
    ) -> None:
        if principal is not None:
            actor = actor_of(principal, address_of(request))
            event = AuditEvent(actor, f"api.{operation.name}", request.url.path, "denied", tenant.id if tenant else 0)
            self._recorder.record(event)

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HttpError(415, "The body has to be JSON; send it with Content-Type: application/json.")
        too_long = HttpError(413, f"The body is longer than the {self._maximum} bytes it may have.")
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._maximum:
                raise too_long
            chunks.append(chunk)
        return b"".join(chunks)


def json_response(kind: Any, value: Any, status: int = 200) -> Response:
    """`value`, a `kind`, as JSON. What belongs to one account is in no cache."""
    body = adapter_of(kind).dump_json(value, by_alias=True)
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")


def _parameters(operation: Operation, request: Request) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, kind in operation.parameters:
        value: str = request.path_params[name]
        if kind is str:
            read[name] = value
        elif value.isascii() and value.isdigit() and len(value) <= 19 and int(value) <= _LARGEST_ID:
            read[name] = int(value)
        else:
            raise NotFoundError(f"There is nothing with the number {value[:30]!r}.")
    return read


def _query(request: Request) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name != TENANT_PARAMETER:
            values.setdefault(name, []).append(value)
    return values


class _Told:
    """An ASGI endpoint whose errors are told as problems."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        try:
            response: Response = await self._answer(request)
        except ClientDisconnect:
            return
        except ModelGateError as error:
            response = problem_response(error)
        except Exception:
            logger.exception("%s %s failed.", request.method, request.url.path)
            response = problem_response(HttpError(500, "Something went wrong in the gateway; its log says more."))
        await response(scope, receive, send)
