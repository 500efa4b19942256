"""The approvals of calls as the database keeps them: asked for, decided, and used once."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.access.caller import Caller
from gateway.access.connections.named_person import names_in
from gateway.catalog.definition_hash import hash_definition
from gateway.catalog.secrets.sealed_texts import approval_owner
from gateway.database.actor import Actor, acting_as
from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ApprovalOwnError,
    InvalidInputError,
    LimitError,
)
from gateway.guards.approval.call_approval import (
    ApprovalRequirement,
    Approver,
    CallApproval,
    CallBinding,
    Decision,
)
from gateway.settings import ApprovalSettings
from gateway.vault import Vault

MAX_OPEN_PER_CALLER = 50
"""How many calls of one caller may wait, or be allowed and not made yet."""

RUN_SECONDS = 30.0
"""How long whoever makes a call for a task counts as there after they last said so."""

_ID_BYTES = 8
_ID_FORMAT = re.compile(r"ap_[0-9a-f]{16}")
_REASON_LENGTH = 1_000
_NAME_LENGTH = 200
_RETRY_SECONDS = 60
# A client may take its time with what a server asks in the middle of a call.
_RESUME_SECONDS = 3600.0
_MAX_LISTED = 500


class CallApprovals:
    """Asks, decides, and lets through. Of any two who do the same at once, one does it."""

    def __init__(self, database: Database, vault: Vault, settings: ApprovalSettings) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings

    async def request(
        self,
        caller: Caller,
        binding: CallBinding,
        requirement: ApprovalRequirement,
        server_name: str,
        arguments: Mapping[str, Any],
        *,
        is_task: bool,
        asked_by: str | None = None,
    ) -> CallApproval:
        """The open approval of a call; where there is none, one that is asked for now by who is called `asked_by`,
        where that is not just the caller's name.

        Raises LimitError where too many of the caller's calls wait already.
        """
        known = await self._open(binding)
        if known is not None:
            return known
        approval_id = f"ap_{secrets.token_hex(_ID_BYTES)}"
        sealed = self._vault.seal(dict(arguments), approval_owner(binding.tenant_id, approval_id))
        with acting_as(Actor("key", caller.key_name, caller.key_id or None, address=caller.address)):
            async with self._database.transaction() as transaction:
                await transaction.execute("lock_caller_approvals", binding.tenant_id, binding.caller)
                await transaction.execute("close_expired_approvals", binding.tenant_id, binding.caller)
                row = await transaction.fetchrow("open_approval", binding.tenant_id, binding.digest)
                if row is not None:
                    return _approval(row)
                count = await transaction.fetchval("count_open_approvals", binding.tenant_id, binding.caller)
                if count >= MAX_OPEN_PER_CALLER:
                    raise LimitError(
                        f"{count} of your calls wait for approval already, as many as may; wait until somebody has "
                        "decided about them.",
                        "open_approvals",
                        _RETRY_SECONDS,
                    )
                row = await transaction.fetchrow(
                    "insert_approval",
                    binding.tenant_id,
                    approval_id,
                    binding.digest,
                    binding.caller,
                    caller.key_id,
                    binding.person.issuer,
                    binding.person.subject,
                    asked_by or caller.key_name,
                    binding.server_id,
                    server_name,
                    binding.tool_id,
                    requirement.tool_name,
                    requirement.definition,
                    sealed,
                    requirement.policy_version,
                    is_task,
                    self._settings.decide_seconds,
                    bool(self._settings.webhook_url),
                )
        assert row is not None
        return _approval(row)

    async def get(self, tenant_id: int, approval_id: str) -> CallApproval:
        """One approval. Raises ApprovalNotFoundError."""
        row = None
        if _ID_FORMAT.fullmatch(approval_id):
            row = await self._database.fetchrow("approval_by_id", tenant_id, approval_id)
        if row is None:
            raise ApprovalNotFoundError(approval_id)
        return _approval(row)

    async def get_of_any_tenant(self, approval_id: str) -> CallApproval:
        """One approval of whichever tenant. Raises ApprovalNotFoundError."""
        row = None
        if _ID_FORMAT.fullmatch(approval_id):
            row = await self._database.fetchrow("approval_by_id_anywhere", approval_id)
        if row is None:
            raise ApprovalNotFoundError(approval_id)
        return _approval(row)

    async def arguments(self, approval: CallApproval) -> dict[str, Any]:
        """The arguments of the call, in full. Raises ApprovalNotFoundError, and SettingsError for another key."""
        sealed = await self._database.fetchval("approval_arguments", approval.tenant_id, approval.id)
        if sealed is None:
            raise ApprovalNotFoundError(approval.id)
        return self._vault.open(sealed, approval_owner(approval.tenant_id, approval.id))

    async def is_outdated(self, approval: CallApproval) -> bool:
        """Whether the tool is defined otherwise than when it was asked for, or gone."""
        now = await self._database.fetchval("approval_tool", approval.tenant_id, approval.tool_id)
        if now is None:
            return True
        return hash_definition(json.loads(now)) != hash_definition(json.loads(approval.definition))

    async def list(
        self, tenant_id: int, *, waiting: bool, before: datetime | None = None, limit: int = 100
    ) -> tuple[CallApproval, ...]:
        """The newest approvals, at most 500: those that wait for somebody, or all; asked for before a time."""
        rows = await self._database.fetch("list_approvals", tenant_id, waiting, before, min(limit, _MAX_LISTED))
        return tuple(_approval(row) for row in rows)

    async def decide(
        self, tenant_id: int, approval_id: str, approver: Approver, decision: Decision, reason: str = ""
    ) -> CallApproval:
        """Allow or deny a call that waits.

        Raises ApprovalNotFoundError, ApprovalOwnError for who asked for it, ApprovalDecidedError where it is decided or
        has expired, and InvalidInputError.
        """
        if len(reason) > _REASON_LENGTH or "\x00" in reason:
            raise InvalidInputError(f"A reason has to be at most {_REASON_LENGTH} characters.", "reason")
        name = approver.name.strip()
        if not name or len(name) > _NAME_LENGTH or not name.isprintable():
            raise InvalidInputError(f"Who decides has to be 1 to {_NAME_LENGTH} printable characters.", "by")
        approval = await self.get(tenant_id, approval_id)
        if not self._settings.allow_self and await self._is_own(approval, approver):
            raise ApprovalOwnError(approval_id, name)
        row = await self._database.fetchrow(
            "decide_approval",
            tenant_id,
            approval_id,
            decision,
            name,
            approver.via,
            reason.strip() or None,
            self._settings.use_seconds,
        )
        if row is None:
            raise _decided_already(await self.get(tenant_id, approval_id))
        return _approval(row)

    async def consume(self, approval: CallApproval) -> bool:
        """Let the call through, once. False where that has been done, or its time is over."""
        return bool(await self._database.execute("use_approval", approval.tenant_id, approval.id))

    async def release(self, approval: CallApproval) -> None:
        """The call that was let through was certainly not made: it may still be."""
        await self._database.execute("give_approval_back", approval.tenant_id, approval.id)

    async def withdraw(self, approval: CallApproval) -> None:
        """Nobody wants the call any more; one that is being made is ended."""
        if not await self._database.execute("withdraw_approval", approval.tenant_id, approval.id):
            await self._database.execute("cancel_approved_call", approval.tenant_id, approval.id)

    async def await_resume(self, approval: CallApproval, request_state: object) -> None:
        """The server has asked something in the call: the client may come back once with its state and the answer."""
        await self._database.execute("await_resumed_call", approval.tenant_id, approval.id, _hash_state(request_state))

    async def resume(self, binding: CallBinding, request_state: object) -> CallApproval | None:
        """The approval of a call with which a client comes back to what the server asked; None where there is none."""
        approval_id = await self._database.fetchval(
            "resume_approved_call", binding.tenant_id, binding.digest, _hash_state(request_state), _RESUME_SECONDS
        )
        return None if approval_id is None else await self.get(binding.tenant_id, approval_id)

    async def begin_task(self, approval: CallApproval) -> bool:
        """Let a call through that is made for a task, once; whoever makes it says so again within RUN_SECONDS."""
        return bool(await self._database.execute("begin_approved_task", approval.tenant_id, approval.id, RUN_SECONDS))

    async def renew_task(self, approval: CallApproval) -> None:
        """The call is still being made."""
        await self._database.execute("renew_approved_task", approval.tenant_id, approval.id, RUN_SECONDS)

    async def end_task(self, approval: CallApproval, outcome: dict[str, Any]) -> None:
        """Keep what came of the call."""
        sealed = self._vault.seal(outcome, approval_owner(approval.tenant_id, approval.id))
        await self._database.execute("end_approved_task", approval.tenant_id, approval.id, sealed)

    async def task_outcome(self, approval: CallApproval) -> dict[str, Any]:
        """What came of a call that is done. Raises ApprovalNotFoundError, and SettingsError for another key."""
        sealed = await self._database.fetchval("approved_task_result", approval.tenant_id, approval.id)
        if sealed is None:
            raise ApprovalNotFoundError(approval.id)
        return self._vault.open(sealed, approval_owner(approval.tenant_id, approval.id))

    async def _open(self, binding: CallBinding) -> CallApproval | None:
        """The open approval that holds for the call now."""
        row = await self._database.fetchrow("open_approval", binding.tenant_id, binding.digest)
        return None if row is None else _approval(row)

    async def _is_own(self, approval: CallApproval, approver: Approver) -> bool:
        """Whether who decides is the one who asks: the same key or one that took over from it, or the same person.

        Whom a key is to act for is its person, accepted or not, and by that name too.
        """
        if approver.person == approval.person or approval.named in approver.named:
            return True
        if approval.key_id and await self._is_owner(approval, approver):
            return True
        if approver.key_id and approval.key_id:
            return bool(
                await self._database.fetchval("is_same_key", approval.tenant_id, approver.key_id, approval.key_id)
            )
        names = {name.casefold() for name in (*names_in(approval.asked_by), approval.person_subject)}
        return approver.via == "webhook" and approver.name.strip().casefold() in names

    async def _is_owner(self, approval: CallApproval, approver: Approver) -> bool:
        asks = await self._database.fetchval("owner_of_key", approval.tenant_id, approval.key_id)
        if asks is None or approver.via == "command line":
            return False
        decides = approver.name.strip()
        if approver.key_id:
            decides = await self._database.fetchval("owner_of_key", approval.tenant_id, approver.key_id)
        return decides is not None and str(decides).casefold() == str(asks).casefold()


def _hash_state(request_state: object) -> bytes:
    given = request_state if isinstance(request_state, str) else ""
    return hashlib.sha256(given.encode(errors="surrogatepass")).digest()


def _decided_already(approval: CallApproval) -> ApprovalDecidedError:
    what = {
        "approved": f"is approved by {approval.decided_by} already",
        "denied": f"is denied by {approval.decided_by} already",
        "used": f"was approved by {approval.decided_by}, and the call is made",
        "withdrawn": "is not wanted any more",
    }.get(approval.state, "has expired; the call has to be made anew")
    return ApprovalDecidedError(f"Approval {approval.id} {what}.")


def _approval(row: Row) -> CallApproval:
    return CallApproval(**{name: row[name] for name in CallApproval.__dataclass_fields__})
