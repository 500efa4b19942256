"""The transport that a server's spec names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from gateway.upstream.openapi.transport import open_openapi
from gateway.upstream.spec import ServerSpec
from gateway.upstream.transport import MessageSink, Transport
from gateway.upstream.transports.http_sse import open_http_sse
from gateway.upstream.transports.process_reaper import ProcessReaper
from gateway.upstream.transports.sse_fallback import open_http
from gateway.upstream.transports.stdio import open_stdio


def open_transport(
    spec: ServerSpec, sink: MessageSink, reaper: ProcessReaper, max_message_bytes: int
) -> AbstractAsyncContextManager[Transport]:
    """A transport to the server of `spec`, open while the context is; it has to be entered and left in one task.

    `sink` hears what comes in; a message of over `max_message_bytes` is an error. Raises UpstreamUnavailableError
    where the server cannot be started.
    """
    if spec.transport == "stdio":
        return open_stdio(spec, sink, reaper, max_message_bytes)
    if spec.transport == "sse":
        return open_http_sse(spec, sink, max_message_bytes)
    if spec.transport == "openapi":
        return open_openapi(spec, sink, max_message_bytes)
    return open_http(spec, sink, max_message_bytes)
