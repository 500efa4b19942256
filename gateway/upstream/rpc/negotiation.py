"""Which protocol a server speaks: `server/discover` first, else the `initialize` handshake."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mcp_types import (
    METHOD_NOT_FOUND,
    SERVER_INFO_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from gateway.errors import UpstreamError, UpstreamHttpError, UpstreamProtocolError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.rpc.peer import Peer
from gateway.upstream.rpc.protocol_era import CLIENT_INFO, HandshakeEra, ModernEra

_NO_FALLBACK = (401, 403, 407, 429)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a server says of itself; `server_info` and `capabilities` as it said them."""

    era: Literal["handshake", "modern"]
    protocol_version: str
    server_info: Message
    capabilities: Message
    instructions: str | None


async def negotiate(
    server: str, peer: Peer, capabilities: Message, *, probe: bool, probe_seconds: float
) -> SessionInfo:
    """Agree with `server` on a protocol version as a client that offers `capabilities`; how long is for the caller.

    Whatever is not a clear sign of the modern era within `probe_seconds` leads to the handshake, as in the SDK's
    client; `probe=False` goes there at once.
    Raises UpstreamError where neither era is agreed, RequestNotSentError where the connection ended during the probe.
    """
    version = LATEST_MODERN_VERSION if probe else None
    for _ in range(2):
        if version is not None:
            supported: object = None
            try:
                result = await _discover(peer, capabilities, version, probe_seconds)
            except UpstreamReplyError as error:
                supported = _supported_versions(error)
                if _only_unknown_modern(supported):
                    raise _no_common_version(server, supported) from None
            except UpstreamError as error:
                if isinstance(error, UpstreamHttpError) and error.status in _NO_FALLBACK:
                    raise
            else:
                agreed = _modern_info(result)
                if agreed is not None:
                    return agreed
            better = _newest_common_version(supported)
            if better is not None and better != version:
                version = better
                continue
        try:
            return await _initialize(server, peer, capabilities)
        except UpstreamReplyError as error:
            # A probe that timed out may still have settled the modern era on the server's side.
            version = _newest_common_version(_supported_versions(error))
            if version is None:
                raise _handshake_refused(server, error) from None
    raise _no_common_version(server, None)


async def _discover(peer: Peer, capabilities: Message, version: str, seconds: float) -> Message:
    request = UpstreamRequest("server/discover", timeout=seconds, cancellable=False)
    return await peer.request(request, ModernEra(version, capabilities))


def _modern_info(result: Message) -> SessionInfo | None:
    """What a discover result says, or None where it names no version that both know."""
    version = _newest_common_version(result.get("supportedVersions"))
    capabilities = result.get("capabilities")
    if version is None or not isinstance(capabilities, dict):
        return None
    meta = result.get("_meta")
    info = meta.get(SERVER_INFO_META_KEY) if isinstance(meta, dict) else None
    return SessionInfo("modern", version, info if isinstance(info, dict) else {}, capabilities, _instructions(result))


async def _initialize(server: str, peer: Peer, capabilities: Message) -> SessionInfo:
    params: Message = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": capabilities,
        "clientInfo": CLIENT_INFO,
    }
    request = UpstreamRequest("initialize", params, timeout=math.inf, cancellable=False)
    result = await peer.request(request, HandshakeEra(None))
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise _no_common_version(server, version)
    offered, info = result.get("capabilities"), result.get("serverInfo")
    return SessionInfo(
        "handshake",
        version,
        info if isinstance(info, dict) else {},
        offered if isinstance(offered, dict) else {},
        _instructions(result),
    )


def _instructions(result: Message) -> str | None:
    text = result.get("instructions")
    return text if isinstance(text, str) and text else None


def _supported_versions(error: UpstreamReplyError) -> object:
    """The versions that an UnsupportedProtocolVersion error names."""
    if error.code != UNSUPPORTED_PROTOCOL_VERSION or not isinstance(error.data, dict):
        return None
    return error.data.get("supported")


def _newest_common_version(supported: object) -> str | None:
    """The newest modern version that is also in `supported`."""
    if not isinstance(supported, list):
        return None
    return next((version for version in reversed(MODERN_PROTOCOL_VERSIONS) if version in supported), None)


def _only_unknown_modern(supported: object) -> bool:
    if not isinstance(supported, list) or _newest_common_version(supported) is not None:
        return False
    return not any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in supported)


def _no_common_version(server: str, offered: object) -> UpstreamProtocolError:
    return UpstreamProtocolError(
        server,
        f"Server {server} speaks no protocol version that this gateway knows (it offers {offered!r}); update it.",
    )


def _handshake_refused(server: str, error: UpstreamReplyError) -> Exception:
    if error.code == METHOD_NOT_FOUND:
        return UpstreamProtocolError(server, f"Server {server} does not speak MCP; check its command or address.")
    return UpstreamProtocolError(
        server, f"Server {server} refused to start a session: {error.message or error.code}; check its settings."
    )
