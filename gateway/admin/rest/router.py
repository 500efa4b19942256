"""The routes of the REST API: each request is admitted, parsed, done, and answered as JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin.problem_details import problem_response
from gateway.admin.public_url import PublicUrl
from gateway.admin.request_guard import PUBLIC_BODY_BYTES, TENANT_HEADER, TENANT_PARAMETER, RequestGuard
from gateway.admin.request_input import parse_json, parse_query
from gateway.admin.rest.json_response import json_response
from gateway.admin.rest.operation import API_PREFIX, Operation, RestContext
from gateway.admin.services.services import Services
from gateway.admin.session_cookie import SessionCookie
from gateway.errors import HttpError, ModelGateError, NotFoundError

logger = logging.getLogger(__name__)

_LARGEST_ID = 2**63 - 1


class ApiRouter:
    """Makes routes of operations."""

    def __init__(
        self,
        services: Services,
        guard: RequestGuard,
        cookie: SessionCookie,
        public_url: PublicUrl,
        max_body_bytes: int,
    ) -> None:
        self._services = services
        self._guard = guard
        self._cookie = cookie
        self._public_url = public_url
        self._max_body_bytes = max_body_bytes

    def routes(self, operations: Iterable[Operation]) -> list[Route]:
        """One route for each path, and one for all paths that are not there."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        routes = [self._route(path, methods) for path, methods in by_path.items()]
        return [*routes, Route("/api/{path:path}", _ProblemEndpoint(_not_found))]

    def _route(self, path: str, methods: Mapping[str, Operation]) -> Route:
        async def answer(request: Request) -> Response:
            operation = methods.get("GET" if request.method == "HEAD" else request.method)
            if operation is None:
                allowed = ", ".join(sorted(methods))
                raise HttpError(405, f"{request.method} is not possible here; there is {allowed}.", Allow=allowed)
            return await self._answer(operation, request)

        return Route(API_PREFIX + path, _ProblemEndpoint(answer))

    async def _answer(self, operation: Operation, request: Request) -> Response:
        tenant_slug = request.query_params.get(TENANT_PARAMETER) or request.headers.get(TENANT_HEADER)
        async with self._guard.admit(request, operation.requirement, tenant_slug) as admission:
            arguments = _path_parameters(operation, request)
            if operation.query is not None:
                arguments["query"] = parse_query(operation.query, _query(request))
            if operation.body is not None:
                arguments["body"] = parse_json(operation.body, await self._body(operation, request))
            context = RestContext(request, self._services, admission, self._cookie, self._public_url)
            result = await operation.handle(context, **arguments)
        if isinstance(result, Response):
            return result
        if operation.returns is None:
            return Response(status_code=operation.status)
        return json_response(operation.returns, result, operation.status)

    async def _body(self, operation: Operation, request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise HttpError(415, "The body has to be JSON; send it with Content-Type: application/json.")
        most = PUBLIC_BODY_BYTES if operation.public else self._max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise HttpError(413, f"The body is longer than the {most} bytes it may have.")
            chunks.append(chunk)
        return b"".join(chunks)


async def _not_found(request: Request) -> Response:
    raise NotFoundError("There is nothing at this address; /api/openapi.json describes what there is.")


def _path_parameters(operation: Operation, request: Request) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, kind in operation.parameters:
        value: str = request.path_params[name]
        if kind is str:
            parsed[name] = value
        elif value.isascii() and value.isdigit() and len(value) <= 19 and int(value) <= _LARGEST_ID:
            parsed[name] = int(value)
        else:
            raise NotFoundError(f"There is nothing with the number {value[:30]!r}.")
    return parsed


def _query(request: Request) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name != TENANT_PARAMETER:
            values.setdefault(name, []).append(value)
    return values


class _ProblemEndpoint:
    """An ASGI endpoint whose errors are answered as problem details."""

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
            logger.exception("%s %s failed.", request.method, request.scope["path"])
            response = problem_response(HttpError(500, "Something went wrong in the gateway; its log says more."))
        await response(scope, receive, send)
