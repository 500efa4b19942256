"""Which request is worked on just now: its id, and the trace it belongs to, as W3C Trace Context has it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_TRACEPARENT_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_MAX_TRACESTATE_CHARACTERS = 512
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span as other programs are told of it: ids in lower-case hex, `flags` as a number, `state` of the vendors."""

    trace_id: str
    span_id: str
    flags: int
    state: str = ""

    @property
    def traceparent(self) -> str:
        """As the header and the key of `_meta` have it."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace records it."""
        return bool(self.flags & _SAMPLED)

    def members(self) -> dict[str, str]:
        """What is put into `_meta` (SEP-414) or headers."""
        state = {TRACESTATE: self.state} if self.state else {}
        return {TRACEPARENT: self.traceparent, **state}


def parse_trace_context(members: Mapping[str, object]) -> TraceContext | None:
    """What `traceparent` and `tracestate` of a header or `_meta` say; None where the former is missing or malformed."""
    parent = members.get(TRACEPARENT)
    found = _TRACEPARENT_FORM.fullmatch(parent) if isinstance(parent, str) else None
    if found is None or found[1] == "ff" or not found[2].strip("0") or not found[3].strip("0"):
        return None
    state = members.get(TRACESTATE)
    is_usable = isinstance(state, str) and len(state) <= _MAX_TRACESTATE_CHARACTERS and state.isascii()
    kept = state if is_usable and isinstance(state, str) and state.isprintable() else ""
    return TraceContext(found[2], found[3], int(found[4], 16), kept)


_request_id: ContextVar[str] = ContextVar("request_id", default="")
_trace: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current_request_id() -> str:
    """The id of the HTTP request that is answered; empty outside of any."""
    return _request_id.get()


def current_trace() -> TraceContext | None:
    """The span that is current here, or that of the caller where none is recorded; None outside of any trace."""
    return _trace.get()


@contextlib.contextmanager
def in_request(request_id: str) -> Iterator[None]:
    """What is done inside is done for this request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


@contextlib.contextmanager
def in_trace(trace: TraceContext | None) -> Iterator[None]:
    """What is done inside belongs to this span."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)
