"""Spans recorded with OpenTelemetry and sent to a collector by OTLP over HTTP."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import OTEL_EXTRA, __version__
from gateway.errors import SettingsError
from gateway.telemetry.trace_context import TraceContext
from gateway.telemetry.tracing.span import ActiveSpan, Attributes, SpanKind

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_PATH = "/v1/traces"
_FLUSH_MS = 3_000
_EXPORT_SECONDS = 5


class OtlpTracer:
    """A `Tracer` that keeps a share of the traces begun here, and of others' those that they keep."""

    def __init__(self, provider: TracerProvider, sample_ratio: float) -> None:
        """`sample_ratio` is the share of traces begun here that are kept; the provider keeps what it is given."""
        from opentelemetry import trace

        self._provider = provider
        self._sample_ratio = sample_ratio
        self._tracer = provider.get_tracer("modelgate", __version__)
        self._kinds = {
            "server": trace.SpanKind.SERVER,
            "client": trace.SpanKind.CLIENT,
            "internal": trace.SpanKind.INTERNAL,
        }

    def skip(self, parent: TraceContext | None) -> TraceContext | None:
        """See `Tracer`. OpenTelemetry would find it out in thirty microseconds, a tenth of what a search takes."""
        if parent is not None:
            return None if parent.is_sampled else replace(parent, span_id=_random_hex(64))
        if random.random() < self._sample_ratio:  # noqa: S311
            return None
        return TraceContext(_random_hex(128), _random_hex(64), 0)

    @contextlib.contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: Attributes, parent: TraceContext | None, *, is_root: bool
    ) -> Iterator[tuple[ActiveSpan | None, TraceContext]]:
        """See `Tracer`. What is raised inside marks it as failed, by its class: a message may say too much."""
        from opentelemetry import trace
        from opentelemetry.context import Context

        current = trace.get_current_span().get_span_context()
        links = [trace.Link(current)] if parent is not None and current.is_valid else []
        with self._tracer.start_as_current_span(
            name,
            context=_context(parent) if parent is not None else Context() if is_root else None,
            kind=self._kinds[kind],
            attributes=dict(attributes),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            its = begun.get_span_context()
            told = TraceContext(
                f"{its.trace_id:032x}", f"{its.span_id:016x}", int(its.trace_flags), its.trace_state.to_header()
            )
            try:
                yield (begun if begun.is_recording() else None), told
            except BaseException as error:
                begun.set_attribute("error.type", type(error).__name__)
                begun.set_status(trace.Status(trace.StatusCode.ERROR))
                raise

    def shutdown(self) -> None:
        """See `Tracer`."""
        self._provider.force_flush(_FLUSH_MS)
        self._provider.shutdown()


def open_otlp_tracer(endpoint: str, sample_ratio: float) -> OtlpTracer:
    """A tracer that sends to the collector at `endpoint`, as `http://collector:4318`, in batches from a thread.

    What OpenTelemetry's variables say of headers and of the resource counts, too. Raises SettingsError where the
    packages are not installed or the address is none.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("tracing.endpoint has to be the address of a collector, as http://localhost:4318.")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError:
        raise SettingsError(
            f'OpenTelemetry is not installed; run pip install "{OTEL_EXTRA}", or leave tracing.endpoint empty.'
        ) from None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "modelgate"}
    address = endpoint if parts.path.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.create({**named, "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=_EXPORT_SECONDS)))
    return OtlpTracer(provider, sample_ratio)


def _random_hex(bits: int) -> str:
    """A number of so many bits, never zero."""
    return f"{random.getrandbits(bits) | 1:0{bits // 4}x}"


def _context(parent: TraceContext) -> Context:
    """A context whose current span is the one of another program."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    span_context = trace.SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(parent.flags),
        trace_state=trace.TraceState.from_header([parent.state] if parent.state else []),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context), Context())
