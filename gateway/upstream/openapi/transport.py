"""An HTTP API with an OpenAPI document as an MCP server: a transport whose other end is here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import httpx2
from anyio.abc import TaskGroup
from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND, SERVER_INFO_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from gateway.errors import InvalidInputError, UpstreamError, UpstreamHttpError, UpstreamUnavailableError
from gateway.json_codec import Message
from gateway.masking import url_without_secrets
from gateway.upstream.http.server_client import ServerHttpClient
from gateway.upstream.oauth.token_auth import oauth_token_auth
from gateway.upstream.openapi.api_key import OpenApiKey, find_key
from gateway.upstream.openapi.document import MAX_DOCUMENT_BYTES, OpenApiDocument, parse_document
from gateway.upstream.openapi.http_request import build_request
from gateway.upstream.openapi.operation import LeftOutOperation, OpenApiOperation
from gateway.upstream.openapi.operation_reader import build_operations
from gateway.upstream.openapi.secret_mask import build_secret_mask
from gateway.upstream.openapi.server_address import ApiAddresses, Origin, url_origin
from gateway.upstream.openapi.tool_result import build_result, error_result
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport, unreadable_answer_error
from gateway.upstream.unusable_tool import unusable_tool

logger = logging.getLogger(__name__)


class OpenApiTransport:
    """A `Transport` that answers for an API: its document is the listing, its operations are the tools."""

    def __init__(self, spec: ServerSpec, sink: MessageSink, tasks: TaskGroup, max_message_bytes: int) -> None:
        self._spec = spec
        self._name = spec.name
        self._sink = sink
        self._tasks = tasks
        self._max_message_bytes = max_message_bytes
        self._requests: dict[int, anyio.CancelScope] = {}
        self._document: OpenApiDocument | None = None
        self._tools: dict[str, OpenApiOperation] = {}
        self._left_out: list[LeftOutOperation] = []
        self._addresses: dict[str, httpx2.URL] = {}
        self._key: OpenApiKey | None = None
        self._clients: dict[Origin, ServerHttpClient] = {}

    async def wait_ready(self) -> None:
        """Read the document. Raises UpstreamError where it cannot be had or used."""
        await self._load_document()

    @property
    def has_session(self) -> bool:
        return False

    async def set_protocol_version(self, version: str) -> None:
        """Nothing of an API depends on the version of MCP."""

    def non_mcp_output(self) -> str | None:
        return None

    def stderr(self) -> str:
        return ""

    async def send(self, message: Message, headers: Mapping[str, str]) -> None:
        """Take a request, to be answered through the sink; an API hears no notifications."""
        if "method" in message and "id" in message:
            scope = anyio.CancelScope()
            self._requests[message["id"]] = scope
            self._tasks.start_soon(self._handle_request, message, scope)

    async def cancel(self, request_id: int, reason: str) -> None:
        """Close the HTTP request."""
        scope = self._requests.get(request_id)
        if scope is not None:
            scope.cancel()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _handle_request(self, message: Message, scope: anyio.CancelScope) -> None:
        request_id: int = message["id"]
        try:
            with scope:
                outcome = await self._response_body(message["method"], message.get("params") or {})
                self._sink.message_received({"jsonrpc": "2.0", "id": request_id, **outcome}, request_id)
        except UpstreamError as error:
            self._sink.request_failed(request_id, error)
        except Exception:
            # It is the trouble of one call; raised here, it would end the session of all.
            logger.exception("%s of API %s broke down", message["method"], self._name)
            self._sink.request_failed(request_id, unreadable_answer_error(self._name, message["method"]))
        finally:
            del self._requests[request_id]

    async def _response_body(self, method: str, params: Message) -> Message:
        if method == "server/discover":
            return {"result": self._discover_result()}
        if method == "tools/list":
            if self._spec.document_url is not None:
                await self._load_document()
            tools = [operation.definition for operation in self._tools.values()]
            tools += [unusable_tool(operation.name, operation.reason) for operation in self._left_out]
            return {"result": {**_COMPLETE, "tools": tools, "ttlMs": 0, "cacheScope": "private"}}
        if method == "tools/call":
            operation = self._tools.get(str(params.get("name")))
            if operation is None:
                return _error_response(INVALID_PARAMS, f"There is no operation {str(params.get('name'))[:200]!r}.")
            return {"result": {**_COMPLETE, **await self._call(operation, params.get("arguments") or {})}}
        return _error_response(METHOD_NOT_FOUND, f"An HTTP API does not know {method}.")

    def _discover_result(self) -> Message:
        declared = self._document.values.get("info") if self._document is not None else None
        info = declared if isinstance(declared, dict) else {}
        described = info.get("description") or info.get("summary")
        return {
            **_COMPLETE,
            "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
            "capabilities": {"tools": {}},
            "ttlMs": 0,
            "cacheScope": "private",
            **({"instructions": described} if isinstance(described, str) and described else {}),
            "_meta": {
                SERVER_INFO_META_KEY: {
                    "name": str(info.get("title") or self._name),
                    "version": str(info.get("version") or ""),
                }
            },
        }

    async def _call(self, operation: OpenApiOperation, arguments: Message) -> Message:
        try:
            request = build_request(operation, arguments)
        except InvalidInputError as error:
            return error_result(error.message)
        except RecursionError:
            return error_result("The arguments are nested too deeply to be sent; flatten them.")
        base = self._addresses[operation.definition["name"]]
        http = self._clients[url_origin(base)]
        if self._key is not None:
            request = self._key.apply(request)
        try:
            url = _url_below(base, request.target)
        except httpx2.InvalidURL:
            length = len(request.target)
            return error_result(
                f"The arguments are too long: they make an address of {length:,} characters; shorten them."
            )
        try:
            async with http.request(request.method, request.headers, request.body, url) as response:
                body = await http.read_body(response)
                if response.status_code == 401 and self._spec.person is not None:
                    # Whoever gets the person's credentials may have another.
                    raise http.status_error(401, body)
        except UpstreamHttpError as error:
            if error.status != 401 and not 300 <= error.status < 400:
                raise
            # To where the API sends its caller on is an answer, if not one that the gateway may follow.
            return error_result(f"HTTP {error.status}\n{error.message}")
        key = self._key.token if self._key is not None else None
        person = self._spec.person.value if self._spec.person is not None else None
        configured = self._spec.headers if person is None else {**self._spec.headers, **person.headers, **person.query}
        secrets = build_secret_mask(response.request.headers, configured, key)
        return build_result(response, body, url_without_secrets(str(url)), secrets)

    async def _load_document(self) -> None:
        """Read the document, again where it comes from a URL, and the tools in it."""
        text: str | bytes | None = self._spec.document
        if text is None:
            text = await self._fetch_document()
        try:
            # A large document takes a while; meanwhile others are served.
            document = await asyncio.to_thread(parse_document, self._name, text)
            key = find_key(document, self._spec.credential)
            preset = {("header", name.lower()) for name in self._spec.headers}
            if key is not None:
                preset.add((key.location, key.name.lower() if key.location == "header" else key.name))
            operations = await asyncio.to_thread(build_operations, document, preset)
            addresses, astray = self._find_addresses(document, operations.tools)
        except InvalidInputError as error:
            raise UpstreamUnavailableError(self._name, error.message) from None
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise UpstreamUnavailableError(
                self._name, f"The OpenAPI document of {self._name} cannot be made into tools; correct it."
            ) from None
        origins = {url_origin(url): url for url in addresses.values()}
        if key != self._key or origins.keys() != self._clients.keys():
            credential = self._spec.credential if key is None else None
            clients: dict[Origin, ServerHttpClient] = {}
            for origin, url in origins.items():
                spec = replace(self._spec, url=str(url), credential=credential)
                clients[origin] = ServerHttpClient(spec, self._max_message_bytes, oauth_token_auth(spec))
            await self.close()
            self._clients = clients
        self._document, self._addresses, self._key = document, addresses, key
        self._tools = {name: operations.tools[name] for name in addresses}
        self._left_out = [*operations.left_out, *astray]

    def _find_addresses(
        self, document: OpenApiDocument, tools: Mapping[str, OpenApiOperation]
    ) -> tuple[dict[str, httpx2.URL], list[LeftOutOperation]]:
        """Where each operation is; those that may not be requested where they are, if others may.

        Raises InvalidInputError where none may.
        """
        known = ApiAddresses(self._spec, document)
        found: dict[str, httpx2.URL] = {}
        astray: list[LeftOutOperation] = []
        for name, operation in tools.items():
            try:
                url = known.of_operation(operation.address)
                reason = self._spec.policy.url_refusal(str(url))
                if reason is not None:
                    raise InvalidInputError(f"The address of {name} may not be requested: {reason}.")
                found[name] = url
            except InvalidInputError as error:
                astray.append(LeftOutOperation(name, error.message))
        if astray and not found:
            raise InvalidInputError(astray[0].reason)
        return found, astray

    async def _fetch_document(self) -> bytes:
        where = httpx2.URL(self._spec.document_url or "")
        trusted = self._spec.url is None or url_origin(httpx2.URL(self._spec.url)) == url_origin(where)
        # Secrets are for the API; a document that lies elsewhere is read without them.
        spec = (
            self._spec if trusted else replace(self._spec, headers={}, credential=None, certificate=None, person=None)
        )
        spec = replace(spec, url=str(where))
        http = ServerHttpClient(spec, MAX_DOCUMENT_BYTES, oauth_token_auth(spec))
        try:
            async with http.request("GET", {"accept": "application/json, application/yaml, */*;q=0.5"}) as response:
                if response.status_code != 200:
                    raise http.status_error(response.status_code)
                return await http.read_body(response)
        finally:
            await http.close()


_COMPLETE: Message = {"resultType": "complete"}


def _url_below(base: httpx2.URL, target: str) -> httpx2.URL:
    """The address of `target` below the API's own, whose query goes with every request."""
    path, _, query = target.partition("?")
    root = str(base.copy_with(query=None, fragment=None)).rstrip("/")
    both = "&".join(part for part in (base.query.decode("ascii"), query) if part)
    return httpx2.URL(f"{root}{path}{f'?{both}' if both else ''}")


@asynccontextmanager
async def open_openapi(spec: ServerSpec, sink: MessageSink, max_message_bytes: int) -> AsyncIterator[Transport]:
    """A transport to the API of `spec`; its document is read in `wait_ready`."""
    async with anyio.create_task_group() as tasks:
        transport = OpenApiTransport(spec, sink, tasks, max_message_bytes)
        try:
            yield transport
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await transport.close()


def _error_response(code: int, message: str) -> Message:
    return {"error": {"code": code, "message": message}}
