"""Rows of the audit log, as they are written: cut to length and without secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gateway.audit.events import AuditEvent, ToolUse
from gateway.audit.redaction import Redactor, storable_text
from gateway.settings import AuditSettings

_TARGET_CHARACTERS = 2_000
_ERROR_CHARACTERS = 500
_RESULT_CHARACTERS = 4_000


class AuditRowBuilder:
    """Turns events into the JSON objects that the statements of `sql/audit.sql` take."""

    def __init__(self, settings: AuditSettings) -> None:
        """Raises SettingsError for rules of redaction that cannot be."""
        self._settings = settings
        self._redactor = Redactor(settings)

    def build_tool_call(self, use: ToolUse) -> dict[str, Any]:
        """The row of a call or a search."""
        digest = hashlib.sha256(use.target.encode(errors="replace")).hexdigest() if use.kind == "search" else None
        by_hash = use.kind == "search" and self._settings.queries == "hash"
        arguments = use.arguments if self._settings.arguments else None
        return {
            "tenant_id": use.caller.tenant_id,
            "at": use.at,
            "kind": use.kind,
            "key_id": use.caller.key_id,
            "key_name": storable_text(use.caller.key_name),
            "role_ids": use.caller.role_ids,
            "address": storable_text(use.caller.address),
            "server_id": use.server_id,
            "tool_id": use.tool_id,
            "target": digest if by_hash else self._redactor.redact_text(use.target, _TARGET_CHARACTERS),
            "outcome": use.outcome,
            "duration_ms": use.duration_ms,
            "arguments": None if arguments is None else self._redactor.redact_json(arguments),
            "query_hash": digest,
            "results": use.results,
            "found": use.found if use.kind == "search" else None,
            "error": self._error(use),
            "result": self._result(use),
            "guards": [decision.as_json() for decision in use.guards] or None,
            "person": storable_text(use.person or use.caller.audited_person)[:_TARGET_CHARACTERS] or None,
        }

    def _error(self, use: ToolUse) -> str | None:
        if use.error:
            return self._redactor.redact_text(use.error, _ERROR_CHARACTERS)
        if use.outcome == "tool error" and use.result:
            return self._result_part(use.result[0])[:_ERROR_CHARACTERS]
        return None

    def _result(self, use: ToolUse) -> str | None:
        """The head of a result without secrets, those in texts that are JSON among them."""
        if not use.result or self._settings.results == "none":
            return None
        return "\n".join(self._result_part(part) for part in use.result)[:_RESULT_CHARACTERS]

    def _result_part(self, text: str) -> str:
        if text.lstrip()[:1] in ("{", "["):
            try:
                value = self._redactor.redact_json({"": json.loads(text)})
            except (ValueError, RecursionError):
                return self._redactor.redact_text(text, _RESULT_CHARACTERS)
            whole = value.get("") if isinstance(value, dict) else value
            return whole if isinstance(whole, str) else json.dumps(whole, ensure_ascii=False)
        return self._redactor.redact_text(text, _RESULT_CHARACTERS)

    def build_event(self, event: AuditEvent) -> dict[str, Any]:
        """The row of any other event."""
        details = self._redactor.redact_json(event.details)
        if isinstance(details, dict) and event.arguments is not None and self._settings.arguments:
            details["arguments"] = self._redactor.redact_json(event.arguments)
        return {
            "tenant_id": event.tenant_id,
            "at": event.at,
            "actor_kind": event.actor.kind,
            "actor_id": event.actor.id,
            "actor_name": self._redactor.redact_text(event.actor.name, _TARGET_CHARACTERS),
            "roles": [storable_text(role) for role in event.actor.roles],
            "role_ids": event.role_ids,
            "address": storable_text(event.actor.address),
            "action": event.action,
            "target": self._redactor.redact_text(event.target, _TARGET_CHARACTERS),
            "outcome": event.outcome,
            "duration_ms": event.duration_ms,
            "details": details,
        }
