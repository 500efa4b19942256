"""What the tool of an operation says of itself."""

from __future__ import annotations

from gateway.json_codec import Message
from gateway.upstream.openapi.declared_values import text_of


def describe(method: str, path: str, item: Message, operation: Message) -> str:
    """What an operation is for, in the words of the document."""
    said = dict.fromkeys(
        text
        for text in (
            text_of(operation, "summary") or text_of(item, "summary"),
            text_of(operation, "description") or text_of(item, "description"),
            "Deprecated." if operation.get("deprecated") is True else "",
        )
        if text
    )
    return "\n\n".join(said) or f"{method.upper()} {path}"


def annotate(method: str) -> dict[str, bool]:
    """What HTTP says of a method (RFC 9110, section 9.2)."""
    reading = method in ("get", "head", "options", "trace")
    if reading:
        return {"readOnlyHint": True, "openWorldHint": True}
    return {
        "readOnlyHint": False,
        "destructiveHint": method in ("delete", "put", "patch"),
        "idempotentHint": method in ("delete", "put"),
        "openWorldHint": True,
    }
