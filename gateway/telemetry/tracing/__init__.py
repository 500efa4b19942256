"""Traces of requests: spans below the current one, and what records them."""

from gateway.telemetry.tracing.span import SpanKind, Tracing, span, untraced

__all__ = ["SpanKind", "Tracing", "span", "untraced"]
