"""What a message of the modern era says in HTTP headers besides."""

from __future__ import annotations

from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER, NAME_BEARING_METHODS
from mcp_types import PROTOCOL_VERSION_META_KEY

from gateway.json_codec import Message
from gateway.upstream.rpc.protocol_era import name_header


def modern_version(message: Message) -> str | None:
    """The protocol version that a message of the modern era carries in itself; None for the handshake era."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def build_headers(message: Message, modern: str | None, session_version: str | None) -> dict[str, str]:
    """The headers for a message of the version that it carries itself, else of the one that its session agreed on."""
    method = message.get("method")
    if modern is None:
        return (
            {} if session_version is None or method == "initialize" else {MCP_PROTOCOL_VERSION_HEADER: session_version}
        )
    headers = {MCP_PROTOCOL_VERSION_HEADER: modern}
    if isinstance(method, str):
        headers[MCP_METHOD_HEADER] = method
        key = NAME_BEARING_METHODS.get(method)
        if key is not None:
            headers.update(name_header(message["params"].get(key)))
    return headers
