"""Answers of an HTTP API as results of tools."""

from __future__ import annotations

import base64

import httpx2

from gateway.json_codec import Message, decode, encode
from gateway.upstream.openapi.body import is_json
from gateway.upstream.openapi.masking import SecretMask

_TEXTS = ("", "application/xml", "application/yaml", "application/javascript", "application/x-ndjson")


def result_of(response: httpx2.Response, body: bytes, uri: str, secrets: SecretMask) -> Message:
    """A response as the result of a tool: JSON as text and, where it is an object, as structured content.

    What the answer repeats of `secrets` is hidden in it.
    """
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    body = secrets.hidden_in(body)
    if response.status_code >= 400 or 300 <= response.status_code < 400:
        text = secrets.hidden(_read(response, body))
        status = f"HTTP {response.status_code} {secrets.hidden(response.reason_phrase)}".rstrip()
        return failed(status + (f"\n{text}" if text else ""))
    if not body:
        return {"content": [_text(f"HTTP {response.status_code}")], "isError": False}
    if is_json(kind):
        return {**_of_json(body, secrets), "isError": False}
    if kind.startswith(("image/", "audio/")):
        data = base64.b64encode(body).decode("ascii")
        return {"content": [{"type": kind.partition("/")[0], "data": data, "mimeType": kind}], "isError": False}
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTS:
        return {"content": [_text(secrets.hidden(_read(response, body)))], "isError": False}
    blob = {"uri": uri, "mimeType": kind, "blob": base64.b64encode(body).decode("ascii")}
    return {"content": [{"type": "resource", "resource": blob}], "isError": False}


def failed(text: str) -> Message:
    """A tool error."""
    return {"content": [_text(text)], "isError": True}


def _of_json(body: bytes, secrets: SecretMask) -> Message:
    text = body.decode("utf-8", errors="replace")
    try:
        value = decode(body)
    except ValueError:
        return {"content": [_text(text)]}
    # JSON may say any character by its number.
    if b"\\" in body and (hidden := secrets.hidden(value)) != value:
        value, text = hidden, encode(hidden).decode()
    structured = {"structuredContent": value} if isinstance(value, dict) else {}
    return {"content": [_text(text)], **structured}


def _read(response: httpx2.Response, body: bytes) -> str:
    """The body as text in the charset that the response names, where there is such a one."""
    try:
        return body.decode(response.encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", errors="replace")


def _text(text: str) -> Message:
    return {"type": "text", "text": text}
