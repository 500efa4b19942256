"""What a protocol era asks to be put into a request: `_meta` keys and HTTP headers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from gateway import __version__
from gateway.json_codec import Message
from gateway.telemetry.trace_context import TRACEPARENT, TRACESTATE, current_trace
from gateway.upstream.request import UpstreamRequest

CLIENT_INFO: Message = {"name": "modelgate", "version": __version__}
"""How the gateway introduces itself to servers."""

# Those of the tasks extension among them (SEP-2663).
_NAMED_BY = {**NAME_BEARING_METHODS, "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
_HOP_KEYS = ("progressToken", PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY)


class HandshakeEra:
    """Protocol versions up to 2025-11-25: the version is said once, and again in a header over HTTP."""

    def __init__(self, version: str | None) -> None:
        """`version` is None while it is not agreed."""
        self.headers: Mapping[str, str] = {} if version is None else {MCP_PROTOCOL_VERSION_HEADER: version}

    def encode(self, request: UpstreamRequest) -> tuple[Message | None, Mapping[str, str]]:
        """The params to send and the headers to send with them. `_meta` loses what belongs to the caller's own hop."""
        params = None if request.params is None else dict(request.params)
        if params is not None and "_meta" in params:
            meta = _end_to_end_meta(params)
            meta.pop(LOG_LEVEL_META_KEY, None)
            params["_meta"] = meta
            if not meta:
                del params["_meta"]
        trace = current_trace()
        if trace is None:
            return params, self.headers
        params = params or {}
        params["_meta"] = {**params.get("_meta", {}), **trace.members()}
        return params, {**self.headers, **trace.members()}

    def register_tools(self, tools: Iterable[object]) -> None:
        """Nothing in a tool's schema changes how it is called."""


def name_header(name: object) -> dict[str, str]:
    """The header that repeats what a request names; none where it names nothing.

    Nor for half a surrogate pair, which JSON can carry and UTF-8 cannot: what is to be made of that, the server says.
    """
    if isinstance(name, str):
        with contextlib.suppress(UnicodeEncodeError):
            return {MCP_NAME_HEADER: encode_header_value(name)}
    return {}


def _param_headers(header_params: Mapping[tuple[str, ...], str], arguments: Message) -> dict[str, str]:
    """The headers that repeat arguments, as far as they have a form in UTF-8."""
    headers: dict[str, str] = {}
    for path, token in header_params.items():
        with contextlib.suppress(UnicodeEncodeError):
            headers.update(mcp_param_headers({path: token}, arguments))
    return headers


class ModernEra:
    """Protocol versions from 2026-07-28: each request says who asks; headers repeat the body."""

    def __init__(self, version: str, capabilities: Message) -> None:
        self._version = version
        self._capabilities = capabilities
        self._header_params: dict[str, dict[tuple[str, ...], str]] = {}

    def encode(self, request: UpstreamRequest) -> tuple[Message, Mapping[str, str]]:
        """As in `HandshakeEra`; the capabilities of the request replace those of the connection."""
        method, capabilities = request.method, request.capabilities
        params = dict(request.params or {})
        params["_meta"] = {
            **_end_to_end_meta(params),
            PROTOCOL_VERSION_META_KEY: self._version,
            CLIENT_INFO_META_KEY: CLIENT_INFO,
            CLIENT_CAPABILITIES_META_KEY: self._capabilities if capabilities is None else capabilities,
        }
        headers = {MCP_PROTOCOL_VERSION_HEADER: self._version, MCP_METHOD_HEADER: method}
        trace = current_trace()
        if trace is not None:
            params["_meta"].update(trace.members())
            headers.update(trace.members())
        key = _NAMED_BY.get(method)
        name = params.get(key) if key is not None else None
        if isinstance(name, str):
            headers.update(name_header(name))
            header_params = self._header_params.get(name) if method == "tools/call" else None
            arguments = params.get("arguments")
            if header_params and isinstance(arguments, dict):
                headers.update(_param_headers(header_params, arguments))
        return params, headers

    def register_tools(self, tools: Iterable[object]) -> None:
        """Keep which arguments of `tools`, given as listed, are to be repeated in headers."""
        for tool in tools:
            if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
                continue
            schema = tool.get("inputSchema")
            header_params = x_mcp_header_map(schema) if find_invalid_x_mcp_header(schema) is None else {}
            if header_params:
                self._header_params[tool["name"]] = header_params
            else:
                self._header_params.pop(tool["name"], None)


ProtocolEra = HandshakeEra | ModernEra


def _end_to_end_meta(params: Mapping[str, Any]) -> Message:
    """`_meta` without the keys that each hop says for itself: of a trace that goes on here, which it is, too."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        return {}
    hop_keys = _HOP_KEYS if current_trace() is None else (*_HOP_KEYS, TRACEPARENT, TRACESTATE)
    return {key: value for key, value in meta.items() if key not in hop_keys}
