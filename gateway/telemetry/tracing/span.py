"""Spans: where a request is traced, each step of it leaves one; where it is not, a step costs nothing.

What records is known to the outermost span alone, and is found by those inside through the context of the task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias

from gateway.telemetry.trace_context import TraceContext, in_request, in_trace

SpanKind: TypeAlias = Literal["server", "client", "internal"]
Attributes: TypeAlias = Mapping[str, "str | int | float | bool"]

_NOT_RECORDED: contextlib.AbstractContextManager[None] = contextlib.nullcontext()


class ActiveSpan(Protocol):
    """A span that is recorded until it is left."""

    def set_attribute(self, key: str, value: str | int | float | bool) -> None:
        """Say something of it."""
        ...


class Tracer(Protocol):
    """Makes spans and has them recorded."""

    def skip(self, parent: TraceContext | None) -> TraceContext | None:
        """How others are told of a span below `parent`, or of one that begins a trace, where it is not to be recorded;
        None where it is.
        """
        ...

    def span(
        self, name: str, kind: SpanKind, attributes: Attributes, parent: TraceContext | None, *, is_root: bool
    ) -> contextlib.AbstractContextManager[tuple[ActiveSpan | None, TraceContext]]:
        """A span below `parent`, or below the current one where that is None; `is_root` where there is none above.

        Gives the span, None where its trace is not sampled, and how other programs are told of it.
        """
        ...

    def shutdown(self) -> None:
        """Hand on what is recorded, for a few seconds at most; blocks."""
        ...


_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


def span(
    name: str, kind: SpanKind = "internal", attributes: Attributes | None = None
) -> contextlib.AbstractContextManager[ActiveSpan | None]:
    """A step of the request that is traced here; gives None where none is."""
    tracer = _tracer.get()
    return _NOT_RECORDED if tracer is None else _recorded(tracer, name, kind, attributes or {}, None, is_root=False)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """What is done inside is nobody's request, though one may have begun it: it goes on after that has ended."""
    token = _tracer.set(None)
    try:
        with in_trace(None), in_request(""):
            yield
    finally:
        _tracer.reset(token)


class Tracing:
    """Begins spans for what comes from outside. Without a tracer it passes on what others say of their traces."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer

    def request(
        self, name: str, attributes: Attributes, parent: TraceContext | None
    ) -> contextlib.AbstractContextManager[ActiveSpan | None]:
        """A request of another program, which is in the trace of `parent` or begins one."""
        return self._begin(name, attributes, parent, is_root=parent is None)

    def message(
        self, name: str, attributes: Attributes, parent: TraceContext | None
    ) -> contextlib.AbstractContextManager[ActiveSpan | None]:
        """A message inside a request: below `parent`, where it names one of its own, else below the request."""
        if parent is None:
            return span(name, "server", attributes)
        return self._begin(name, attributes, parent, is_root=False)

    def shutdown(self) -> None:
        """Hand on what is recorded; blocks."""
        if self._tracer is not None:
            self._tracer.shutdown()

    def _begin(
        self, name: str, attributes: Attributes, parent: TraceContext | None, *, is_root: bool
    ) -> contextlib.AbstractContextManager[ActiveSpan | None]:
        if self._tracer is None:
            return _NOT_RECORDED if parent is None else in_trace(parent)
        skipped = self._tracer.skip(parent)
        if skipped is not None:
            # Nearly all are: they have to cost next to nothing.
            return in_trace(skipped) if _tracer.get() is None else _skipped(skipped)
        return _recorded(self._tracer, name, "server", attributes, parent, is_root=is_root)


@contextlib.contextmanager
def _skipped(trace: TraceContext) -> Iterator[None]:
    """A message that is not recorded, in a request that is."""
    token = _tracer.set(None)
    try:
        with in_trace(trace):
            yield
    finally:
        _tracer.reset(token)


@contextlib.contextmanager
def _recorded(
    tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes, parent: TraceContext | None, *, is_root: bool
) -> Iterator[ActiveSpan | None]:
    with tracer.span(name, kind, attributes, parent, is_root=is_root) as (active, trace), in_trace(trace):
        # The steps of a trace that is not sampled are none.
        token = _tracer.set(None if active is None else tracer)
        try:
            yield active
        finally:
            _tracer.reset(token)
