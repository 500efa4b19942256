"""Approvals in the database: asked for, decided, and used, by several at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.access.persons import ACCOUNT_ISSUER, Identity
from gateway.catalog.secrets.sealed_texts import SealedTexts, approval_owner
from gateway.components import Components
from gateway.errors import (
    ApprovalNotFoundError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LimitError,
    SettingsError,
)
from gateway.guards.approval.call_approval import Approver, CallApproval
from gateway.guards.approval.call_approvals import MAX_OPEN_PER_CALLER, CallApprovals
from gateway.vault import Vault
from tests.guards.approval.asked_calls import ADA, BOB, AskedTool, asked_tool, expire, key_caller
from tests.support.audit import audit_rows

PAY = {"to": "Eve", "amount": 10}


@pytest.fixture
async def bank(parts: Components, tmp_path: Path) -> AskedTool:
    return await asked_tool(parts, tmp_path)


async def test_of_those_who_decide_at_once_one_does(parts: Components, bank: AskedTool) -> None:
    approvals = parts.approvals
    for place in range(5):
        approval = await bank.ask(approvals, key_caller(1), {"place": place})
        outcomes = await asyncio.gather(
            approvals.decide(1, approval.id, ADA, "approved"),
            approvals.decide(1, approval.id, BOB, "denied", "no"),
            return_exceptions=True,
        )
        decided = [outcome for outcome in outcomes if isinstance(outcome, CallApproval)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        assert (len(decided), len(refused)) == (1, 1)
        assert str(decided[0].decided_by) in str(refused[0])
        assert (await approvals.get(1, approval.id)).state == decided[0].state
        # Of those who make the call at once one does, and of a denied call none.
        used = await asyncio.gather(*(approvals.consume(approval) for _ in range(3)))
        assert sum(used) == (decided[0].state == "approved")
    rows = await audit_rows(parts.database, action="approval.changed", wanted=5)
    assert {row["actor_name"] for row in rows} <= {"gateway"}


async def test_equal_calls_at_once_ask_once(parts: Components, bank: AskedTool) -> None:
    asked = await asyncio.gather(*(bank.ask(parts.approvals, key_caller(1), PAY) for _ in range(4)))
    assert len({approval.id for approval in asked}) == 1
    others = [key_caller(2), key_caller(1, acts_for=Identity("https://id.example", "eve"))]
    for caller in others:
        assert (await bank.ask(parts.approvals, caller, PAY)).id != asked[0].id


async def test_what_has_had_its_time_is_neither_decided_nor_used(
    parts: Components, bank: AskedTool, database_url: str
) -> None:
    approvals = parts.approvals
    late = await bank.ask(approvals, key_caller(1), PAY)
    await expire(database_url, late.id)
    with pytest.raises(ConflictError, match="has expired"):
        await approvals.decide(1, late.id, ADA, "approved")
    allowed = await bank.ask(approvals, key_caller(1), PAY)
    assert allowed.id != late.id
    await approvals.decide(1, allowed.id, ADA, "approved")
    await expire(database_url, allowed.id)
    assert not await approvals.consume(allowed)
    assert (await approvals.get(1, allowed.id)).state == "expired"
    denied = await bank.ask(approvals, key_caller(1), PAY)
    await approvals.decide(1, denied.id, ADA, "denied")
    assert (await bank.ask(approvals, key_caller(1), PAY)).state == "denied"
    await expire(database_url, denied.id)
    # The one who was refused may ask again later.
    assert (await bank.ask(approvals, key_caller(1), PAY)).state == "asked"
    assert (await approvals.get(1, denied.id)).state == "denied"


async def test_nobody_decides_about_what_they_asked_for(parts: Components, bank: AskedTool) -> None:
    approvals, keys = parts.approvals, parts.keys
    key = await keys.create(1, "agent", ["all"], rights=["approve"])
    second = await keys.rotate(1, key.id)
    third = await keys.rotate(1, second.id)
    approval = await bank.ask(approvals, key_caller(second.id), PAY)
    for own in (key.id, second.id, third.id):
        with pytest.raises(ForbiddenError, match="somebody else has to decide"):
            await approvals.decide(1, approval.id, Approver("agent", "key", own), "approved")
    with pytest.raises(ForbiddenError):
        await approvals.decide(1, approval.id, Approver(" AGENT ", "webhook"), "approved")
    other = await keys.create(1, "other", ["all"], rights=["approve"])
    assert (await approvals.decide(1, approval.id, Approver("o", "key", other.id), "approved")).state == "approved"

    eve = Identity("https://id.example", "eve")
    signed_in = key_caller(0, "eve", subject="eve", issuer="https://id.example")
    owned = key_caller(other.id, "hers", acts_for=eve)
    for caller in (signed_in, owned):
        approval = await bank.ask(approvals, caller, {"of": caller.key_name})
        with pytest.raises(ForbiddenError):
            await approvals.decide(1, approval.id, Approver("Eve", "admin", person=eve), "approved")
        account = Approver("root", "admin", person=Identity(ACCOUNT_ISSUER, "1"))
        await approvals.decide(1, approval.id, account, "denied")
    lenient = CallApprovals(parts.database, parts.vault, replace(parts.settings.approval, allow_self=True))
    approval = await bank.ask(approvals, owned, {"of": "self"})
    await lenient.decide(1, approval.id, Approver("Eve", "admin", person=eve), "approved")


async def test_whom_a_key_is_to_act_for_decides_about_none_of_its_calls(parts: Components, bank: AskedTool) -> None:
    approvals, keys = parts.approvals, parts.keys
    asking = await keys.create(1, "ci", ["all"], owner="ada")
    deciding = await keys.create(1, "phone", ["all"], rights=["approve"], owner="Ada")
    approval = await bank.ask(approvals, key_caller(asking.id, "ci"), PAY)
    for own in (Approver("phone", "key", deciding.id), Approver("ada", "admin"), Approver(" Ada ", "webhook")):
        with pytest.raises(ForbiddenError, match="somebody else has to decide"):
            await approvals.decide(1, approval.id, own, "approved")
    bobs = await keys.create(1, "bobs", ["all"], rights=["approve"], owner="bob")
    decided = await approvals.decide(1, approval.id, Approver("ada", "key", bobs.id), "approved")
    assert decided.state == "approved"


async def test_arguments_are_sealed_for_their_row_and_stay_so_under_a_new_key(
    parts: Components, bank: AskedTool, database_url: str
) -> None:
    approvals = parts.approvals
    first = await bank.ask(approvals, key_caller(1), PAY)
    other = await bank.ask(approvals, key_caller(1), {"to": "Mallory"})
    sealed = await parts.database.fetchval("approval_arguments", 1, first.id)
    assert b"Eve" not in sealed
    await parts.database.execute("reseal_approval", 1, other.id, *await _sealed(parts, other), sealed, None, None)
    with pytest.raises(SettingsError):
        await approvals.arguments(other)

    class Ring:
        def __init__(self, *keys: bytes) -> None:
            self._keys = keys

        def read(self) -> tuple[bytes, ...]:
            return self._keys

    old, new = b"o" * 32, b"n" * 32
    under_old, both = Vault(Ring(old)), Vault(Ring(new, old))
    moved = under_old.seal(PAY, approval_owner(1, first.id))
    await parts.database.execute("reseal_approval", 1, first.id, sealed, moved, None, None)
    await SealedTexts(parts.database, both).reseal()
    only_new = CallApprovals(parts.database, Vault(Ring(new)), parts.settings.approval)
    assert await only_new.arguments(first) == PAY


async def _sealed(parts: Components, approval: CallApproval) -> tuple[bytes]:
    return (await parts.database.fetchval("approval_arguments", 1, approval.id),)


async def test_a_caller_asks_for_so_many_calls_and_no_more(parts: Components, bank: AskedTool) -> None:
    for place in range(MAX_OPEN_PER_CALLER):
        await bank.ask(parts.approvals, key_caller(1), {"place": place})
    with pytest.raises(LimitError, match="50 of your calls wait"):
        await bank.ask(parts.approvals, key_caller(1), {"place": "one more"})
    assert (await bank.ask(parts.approvals, key_caller(2), {"place": "one more"})).waits


@pytest.mark.parametrize(
    ("approval_id", "name", "reason", "error"),
    [
        ("ap_0123456789abcdef", "ada", "", ApprovalNotFoundError),
        ("'; DROP TABLE", "ada", "", ApprovalNotFoundError),
        ("", "ada", "x" * 1_001, InvalidInputError),
        ("", "ada", "\x00", InvalidInputError),
        ("", " ", "", InvalidInputError),
        ("", "a\nb", "", InvalidInputError),
    ],
)
async def test_a_decision_that_cannot_be_is_refused(
    parts: Components, approval_id: str, name: str, reason: str, error: Any
) -> None:
    with pytest.raises(error):
        await parts.approvals.decide(1, approval_id, Approver(name, "webhook"), "approved", reason)
