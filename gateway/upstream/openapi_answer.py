"""Answers of an HTTP API as results of tools."""

from __future__ import annotations

import base64

import httpx2

from gateway.upstream.message import Message, decode
from gateway.upstream.openapi_body import is_json

_TEXTS = ("", "application/xml", "application/yaml", "application/javascript", "application/x-ndjson")


def result_of(response: httpx2.Response, body: bytes, uri: str) -> Message:
    """A response as the result of a tool: JSON as text and, where it is an object, as structured content."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if response.status_code >= 400 or 300 <= response.status_code < 400:
        text = body.decode(response.encoding or "utf-8", errors="replace")
        return failed(f"HTTP {response.status_code} {response.reason_phrase}".rstrip() + (f"\n{text}" if text else ""))
    if not body:
        return {"content": [_text(f"HTTP {response.status_code}")], "isError": False}
    if is_json(kind):
        return {"content": [_text(body.decode("utf-8", errors="replace"))], **_structured(body), "isError": False}
    if kind.startswith(("image/", "audio/")):
        data = base64.b64encode(body).decode("ascii")
        return {"content": [{"type": kind.partition("/")[0], "data": data, "mimeType": kind}], "isError": False}
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTS:
        return {"content": [_text(body.decode(response.encoding or "utf-8", errors="replace"))], "isError": False}
    blob = {"uri": uri, "mimeType": kind, "blob": base64.b64encode(body).decode("ascii")}
    return {"content": [{"type": "resource", "resource": blob}], "isError": False}


def _structured(body: bytes) -> Message:
    try:
        value = decode(body)
    except ValueError:
        return {}
    return {"structuredContent": value} if isinstance(value, dict) else {}


def failed(text: str) -> Message:
    """A tool error."""
    return {"content": [_text(text)], "isError": True}


def _text(text: str) -> Message:
    return {"type": "text", "text": text}
