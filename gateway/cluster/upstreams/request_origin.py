"""Of which request and trace it is what one process asks another for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gateway.json_codec import Message
from gateway.telemetry.trace_context import current_request_id, current_trace, in_request, parse_trace_context
from gateway.telemetry.tracing import Tracing


def origin_to_wire() -> Message:
    """The request that is answered here, and the span that is current; what there is of them."""
    trace, request_id = current_trace(), current_request_id()
    return {
        **({} if trace is None else {"trace": trace.members()}),
        **({"request_id": request_id} if request_id else {}),
    }


@contextlib.contextmanager
def in_origin(wire: Message, tracing: Tracing, name: str, attributes: dict[str, str]) -> Iterator[None]:
    """What is done inside belongs to the request and the trace of who asked, below a span `name` of its own."""
    parent, request_id = parse_trace_context(wire.get("trace") or {}), str(wire.get("request_id", ""))
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_request(request_id))
        if parent is not None:
            # What belongs to no trace begins none here.
            stack.enter_context(tracing.request(name, {**attributes, "modelgate.request_id": request_id}, parent))
        yield
