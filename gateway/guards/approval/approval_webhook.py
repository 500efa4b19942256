"""The webhook: a chat tool, or anything else, is told of calls that wait."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from gateway.bounded_http_client import BoundedHttpClient
from gateway.errors import InvalidInputError, SettingsError
from gateway.guards.approval.approval_card import approval_detail
from gateway.guards.approval.call_approval import CallApproval, Decision
from gateway.guards.signature import signed_headers
from gateway.json_codec import encode
from gateway.settings import ApprovalSettings

logger = logging.getLogger(__name__)

ANSWER_PATH = "/v1/approvals/{approval}/answer"

_SECONDS = 10.0
_MAX_ANSWER_BYTES = 64 * 1024
_SECRET_LENGTH = 16
_SHOWN_BYTES = 32 * 1024
_DECISIONS: Mapping[str, Decision] = {"approve": "approved", "deny": "denied"}


class ApprovalWebhook:
    """Posts what waits, signed; where it is to be answered is in the message."""

    def __init__(self, settings: ApprovalSettings, public_url: str) -> None:
        """`public_url` is the address that people and the chat tool reach the gateway at, empty where none is set.

        Raises SettingsError for an address or a secret that cannot be.
        """
        if settings.webhook_url:
            parts = urlsplit(settings.webhook_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise SettingsError("approval.webhook_url has to be an address that begins with https:// or http://.")
            if len(settings.webhook_secret) < _SECRET_LENGTH:
                raise SettingsError(
                    f"approval.webhook_url needs an approval.webhook_secret of at least {_SECRET_LENGTH} characters, "
                    "with which messages and answers are signed."
                )
        self._url = settings.webhook_url
        self._secret = settings.webhook_secret
        self._public_url = public_url.rstrip("/")
        self._client: BoundedHttpClient | None = None

    @property
    def is_set(self) -> bool:
        """Whether anybody is to be told."""
        return bool(self._url)

    async def notify(self, tenant: str, approval: CallApproval, arguments: dict[str, Any]) -> bool:
        """Tell of a call that waits; whether that was heard. `tenant` is a slug."""
        if self._client is None:
            self._client = BoundedHttpClient(total_seconds=_SECONDS, max_bytes=_MAX_ANSWER_BYTES)
        body = self.build_message(tenant, approval, arguments)
        signed = signed_headers(self._secret, approval.id, int(time.time()), body)
        headers = {"Content-Type": "application/json", **signed}
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            logger.warning("The webhook was not told of approval %s: %s", approval.id, error or type(error).__name__)
            return False
        if not response.is_success:
            logger.warning("The webhook answered %s to approval %s.", response.status_code, approval.id)
        return response.is_success

    def build_message(self, tenant: str, approval: CallApproval, arguments: dict[str, Any]) -> bytes:
        """The body, in JSON. Arguments of more than 32 KiB are left out: they are for the page."""
        detail = approval_detail(approval, arguments)
        card = {name: _plain(value) for name, value in asdict(detail.approval).items()}
        left_out = len(encode(arguments)) > _SHOWN_BYTES
        base = self._public_url
        return encode(
            {
                "type": "approval.asked",
                "tenant": tenant,
                "approval": card,
                "title": detail.title,
                "description": detail.description,
                "annotations": detail.annotations,
                "arguments": None if left_out else arguments,
                "arguments_left_out": left_out,
                "page_url": f"{base}/admin/t/{tenant}/approvals/{approval.id}" if base else None,
                "answer_url": base + ANSWER_PATH.format(approval=approval.id) if base else None,
            }
        )

    async def aclose(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.aclose()


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """What a program decides; `by` is whom it names, and `id` about what, both empty where it names nobody."""

    decision: Decision
    reason: str
    by: str = ""
    id: str = ""


def parse_answer(body: bytes, *, named: bool) -> ApprovalAnswer:
    """A decision in JSON: `{"decision": "approve" or "deny", "reason": …}`, and where it is `named`, `by` whom and the
    `id` of the approval.

    Raises InvalidInputError for anything else.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    names = {"decision", "reason", *(("by", "id") if named else ())}
    if not isinstance(answer, dict) or not answer.keys() <= names or not all(map(_is_text, answer.values())):
        by = ", by (the name of who decides) and id (of the approval)" if named else ""
        raise InvalidInputError(f"The body has to be a JSON object of texts: decision{by}, and perhaps reason.")
    decision = _DECISIONS.get(answer.get("decision", ""))
    if decision is None:
        raise InvalidInputError('decision has to be "approve" or "deny".', "decision")
    return ApprovalAnswer(decision, answer.get("reason", ""), answer.get("by", ""), answer.get("id", ""))


def _is_text(value: object) -> bool:
    return isinstance(value, str)
