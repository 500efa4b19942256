"""Answers of an HTTP API as results of tools."""

from __future__ import annotations

import base64

import httpx2

from gateway.json_codec import Message, decode, encode
from gateway.masking import SecretMask
from gateway.upstream.openapi.request_body import is_json_type

_TEXTS = ("", "application/xml", "application/yaml", "application/javascript", "application/x-ndjson")


def build_result(response: httpx2.Response, body: bytes, uri: str, mask: SecretMask) -> Message:
    """A response as the result of a tool: JSON as text and, where it is an object, as structured content.

    What the answer repeats of secrets is masked.
    """
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    body = mask.mask_bytes(body)
    if response.status_code >= 400 or 300 <= response.status_code < 400:
        text = mask.mask_json(_decode_body(response, body))
        status = f"HTTP {response.status_code} {mask.mask_json(response.reason_phrase)}".rstrip()
        return error_result(status + (f"\n{text}" if text else ""))
    if not body:
        return {"content": [_text_block(f"HTTP {response.status_code}")], "isError": False}
    if is_json_type(kind):
        return {**_json_content(body, mask), "isError": False}
    if kind.startswith(("image/", "audio/")):
        data = base64.b64encode(body).decode("ascii")
        return {"content": [{"type": kind.partition("/")[0], "data": data, "mimeType": kind}], "isError": False}
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTS:
        return {"content": [_text_block(mask.mask_json(_decode_body(response, body)))], "isError": False}
    blob = {"uri": uri, "mimeType": kind, "blob": base64.b64encode(body).decode("ascii")}
    return {"content": [{"type": "resource", "resource": blob}], "isError": False}


def error_result(text: str) -> Message:
    """A tool error."""
    return {"content": [_text_block(text)], "isError": True}


def _json_content(body: bytes, mask: SecretMask) -> Message:
    text = body.decode("utf-8", errors="replace")
    try:
        value = decode(body)
    except ValueError:
        return {"content": [_text_block(text)]}
    # JSON may say any character by its number.
    if b"\\" in body and (masked := mask.mask_json(value)) != value:
        value, text = masked, encode(masked).decode()
    structured = {"structuredContent": value} if isinstance(value, dict) else {}
    return {"content": [_text_block(text)], **structured}


def _decode_body(response: httpx2.Response, body: bytes) -> str:
    """The body as text in the charset that the response names, where there is such a one."""
    try:
        return body.decode(response.encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", errors="replace")


def _text_block(text: str) -> Message:
    return {"type": "text", "text": text}
