"""One JSON-RPC request in a plain POST, answered as plain JSON: no session, no handshake, any Accept header."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from starlette.responses import Response
from starlette.types import Receive

from gateway.access.caller import Caller
from gateway.downstream.exchange import Exchange, Method
from gateway.downstream.methods import Methods
from gateway.downstream.serialized import Serialized
from gateway.errors import DatabaseUnavailableError, ModelGateError, SignInUnavailableError

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS = 100


class OneShot:
    """Answers single requests."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    async def answer(self, caller: Caller, message: object, receive: Receive) -> Response:
        """The response to one decoded JSON-RPC message. A client that leaves cancels what it asked for."""
        if isinstance(message, list):
            return failure(None, INVALID_REQUEST, "Batches are not supported; send one request at a time.")
        if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
            return failure(None, INVALID_REQUEST, 'The body has to be one JSON-RPC request with "jsonrpc": "2.0".')
        request_id, method_name = message.get("id"), message.get("method")
        if "id" in message and (isinstance(request_id, bool) or not isinstance(request_id, str | int)):
            return failure(None, INVALID_REQUEST, "id has to be a string or a whole number.")
        if not isinstance(method_name, str):
            return failure(request_id, INVALID_REQUEST, "method has to be a string.")
        if "id" not in message:
            return Response(status_code=202)
        params = message.get("params", {})
        if not isinstance(params, Mapping):
            return failure(request_id, INVALID_REQUEST, "params has to be an object.")
        method = self._methods.get(method_name)
        if method is None:
            return failure(request_id, METHOD_NOT_FOUND, f"There is no method {method_name[:_SHOWN_CHARACTERS]!r}.")
        return await self._run(method, Exchange(caller, method_name, params), request_id, receive)

    async def _run(self, method: Method, exchange: Exchange, request_id: Any, receive: Receive) -> Response:
        call = asyncio.ensure_future(method(exchange))
        left = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((call, left), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                return Response(status_code=499)
            result = call.result()
        except MCPError as error:
            return failure(request_id, error.code, error.message, error.data)
        except DatabaseUnavailableError as error:
            return unavailable(error, request_id)
        except ModelGateError as error:
            return failure(request_id, INTERNAL_ERROR, error.message)
        except Exception:
            logger.exception("A request for %s failed.", exchange.method)
            return failure(request_id, INTERNAL_ERROR, "Internal error; the gateway's log says more.")
        finally:
            for task in (call, left):
                task.cancel()
        if isinstance(result, Serialized):
            return _wrapped(request_id, result)
        return _json({"jsonrpc": "2.0", "id": request_id, "result": result})


def parse_failure() -> Response:
    """400 for a body that is not JSON."""
    return failure(None, PARSE_ERROR, "The body is not valid JSON.")


def unavailable(error: DatabaseUnavailableError | SignInUnavailableError, request_id: Any = None) -> Response:
    """503 while the database, or the provider of sign-ins, does not answer."""
    response = failure(request_id, INTERNAL_ERROR, error.message, status=503)
    response.headers["Retry-After"] = "1"
    return response


def failure(request_id: Any, code: int, message: str, data: Any = None, *, status: int | None = None) -> Response:
    """A JSON-RPC error with the HTTP status that goes with its code."""
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    status = status or ERROR_CODE_HTTP_STATUS.get(code, 200)
    return _json({"jsonrpc": "2.0", "id": request_id, "error": error}, status)


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    # ASCII escapes hold whatever an upstream sent, lone surrogates included.
    return Response(json.dumps(body, separators=(",", ":")), status_code=status, media_type="application/json")


def _wrapped(request_id: Any, result: Serialized) -> Response:
    """A response around a result that is JSON text already."""
    body = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(request_id).encode(), result.text)
    return Response(body, media_type="application/json")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
