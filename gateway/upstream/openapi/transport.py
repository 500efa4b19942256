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
from gateway.upstream.openapi.operation import OpenApiOperation, build_operations
from gateway.upstream.openapi.secret_mask import build_secret_mask
from gateway.upstream.openapi.tool_result import build_result, error_result
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport, unreadable_answer_error

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
        self._base: httpx2.URL | None = None
        self._key: OpenApiKey | None = None
        self._http: ServerHttpClient | None = None

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
        if self._http is not None:
            await self._http.close()

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
            return {"result": {**_COMPLETE, "tools": tools, "ttlMs": 0, "cacheScope": "private"}}
        if method == "tools/call":
            operation = self._tools.get(str(params.get("name")))
            if operation is None:
                return _error_response(INVALID_PARAMS, f"There is no operation {str(params.get('name'))[:200]!r}.")
            return {"result": {**_COMPLETE, **await self._call(operation, params.get("arguments") or {})}}
        return _error_response(METHOD_NOT_FOUND, f"An HTTP API does not know {method}.")

    def _discover_result(self) -> Message:
        info = self._document.values.get("info", {}) if self._document is not None else {}
        described = info.get("description") or info.get("summary")
        return {
            **_COMPLETE,
            "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
            "capabilities": {"tools": {}},
            "ttlMs": 0,
            "cacheScope": "private",
            **({"instructions": described} if isinstance(described, str) and described else {}),
            "_meta": {SERVER_INFO_META_KEY: {"name": str(info.get("title")), "version": str(info.get("version"))}},
        }

    async def _call(self, operation: OpenApiOperation, arguments: Message) -> Message:
        try:
            request = build_request(operation, arguments)
        except InvalidInputError as error:
            return error_result(error.message)
        except RecursionError:
            return error_result("The arguments are nested too deeply to be sent; flatten them.")
        http, base = self._http, self._base
        if http is None or base is None:
            raise UpstreamUnavailableError(self._name, f"Server {self._name} is not connected yet.")
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
        except UpstreamHttpError as error:
            if not 300 <= error.status < 400:
                raise
            # To where the API sends its caller on is an answer, if not one that the gateway may follow.
            return error_result(f"HTTP {error.status}\n{error.message}")
        key = self._key.token if self._key is not None else None
        secrets = build_secret_mask(response.request.headers, self._spec.headers, key)
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
            tools = await asyncio.to_thread(build_operations, document, preset)
            base = self._base_url(document)
        except InvalidInputError as error:
            raise UpstreamUnavailableError(self._name, error.message) from None
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise UpstreamUnavailableError(
                self._name, f"The OpenAPI document of {self._name} cannot be made into tools; correct it."
            ) from None
        if (base, key) != (self._base, self._key) or self._http is None:
            await self.close()
            credential = self._spec.credential if key is None else None
            spec = replace(self._spec, url=str(base), credential=credential)
            self._http = ServerHttpClient(spec, self._max_message_bytes, oauth_token_auth(spec))
        self._document, self._tools, self._base, self._key = document, tools, base, key

    async def _fetch_document(self) -> bytes:
        where = httpx2.URL(self._spec.document_url or "")
        trusted = self._spec.url is None or _origin(httpx2.URL(self._spec.url)) == _origin(where)
        # Secrets are for the API; a document that lies elsewhere is read without them.
        spec = self._spec if trusted else replace(self._spec, headers={}, credential=None, certificate=None)
        spec = replace(spec, url=str(where))
        http = ServerHttpClient(spec, MAX_DOCUMENT_BYTES, oauth_token_auth(spec))
        try:
            async with http.request("GET", {"accept": "application/json, application/yaml, */*;q=0.5"}) as response:
                if response.status_code != 200:
                    raise http.status_error(response.status_code)
                return await http.read_body(response)
        finally:
            await http.close()

    def _base_url(self, document: OpenApiDocument) -> httpx2.URL:
        """Where the API is: what was set by hand, else the first server that the document names."""
        if self._spec.url is not None:
            return httpx2.URL(self._spec.url)
        servers = document.values.get("servers") or [{"url": "/"}]
        named = str(servers[0].get("url", "/"))
        for variable, values in (servers[0].get("variables") or {}).items():
            named = named.replace("{" + variable + "}", str(values.get("default", "")))
        try:
            base = httpx2.URL(named)
            if self._spec.document_url is not None:
                base = httpx2.URL(self._spec.document_url).join(named)
        except httpx2.InvalidURL:
            base = httpx2.URL("")
        if base.scheme not in ("http", "https") or not base.host:
            raise InvalidInputError(
                f"The OpenAPI document of {self._name} does not say where the API is; set its address by hand."
            )
        secret = self._spec.headers or self._spec.credential or self._spec.certificate
        if secret and self._spec.document_url is not None and _origin(base) != _origin(self._spec.document_url):
            raise InvalidInputError(
                f"The OpenAPI document of {self._name} says that the API is at {base.host}, which is not where the "
                "document is; set the address by hand, so that secrets go nowhere else."
            )
        return base


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


def _origin(url: httpx2.URL | str) -> tuple[str, str, int | None]:
    parsed = httpx2.URL(url) if isinstance(url, str) else url
    return parsed.scheme, parsed.host, parsed.port
