"""API keys: made, found, changed, rotated, revoked."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from gateway.access.caller import Limits
from gateway.access.keys import ApiKeys
from gateway.access.profiles import Profiles
from gateway.access.roles import create_role
from gateway.access.tenants import Tenant
from gateway.database.pool import Database
from gateway.errors import CredentialError, InvalidInputError, NotFoundError
from tests.support.catalogue import direct_connection

HOUR = timedelta(hours=1)


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    return ApiKeys(database)


async def test_a_key_carries_several_roles_its_note_and_its_limits(
    database: Database, keys: ApiKeys, tenant: Tenant
) -> None:
    roles = [await create_role(database, tenant.id, name) for name in ("a", "b")]
    limits = Limits(60, 2, 1000)
    made = await keys.create(tenant.id, "ci", ["b", "a", "b"], note="for the build", limits=limits)
    caller = await keys.authenticate(made.key)
    assert (caller.role_ids, caller.limits) == (tuple(role.id for role in roles), limits)
    (record,) = await keys.list(tenant.id)
    assert (record.note, record.limits, record.roles, record.hint) == (
        "for the build",
        limits,
        ("a", "b"),
        made.key[:9],
    )


async def test_only_the_hash_of_a_key_is_kept(database: Database, keys: ApiKeys, tenant: Tenant) -> None:
    made = await keys.create(tenant.id, "ci", ["all"])
    async with direct_connection(database) as connection:
        row = await connection.fetchval("SELECT k::text FROM api_keys k WHERE id = $1", made.id)
    assert made.key not in row
    assert made.key[3:] not in row


async def test_a_rotated_key_goes_on_for_the_overlap(keys: ApiKeys, tenant: Tenant) -> None:
    limits = Limits(calls_per_day=10)
    old = await keys.create(tenant.id, "ci", ["all"], note="kept", limits=limits)
    new = await keys.rotate(tenant.id, old.id, HOUR)
    first, second = await keys.authenticate(old.key), await keys.authenticate(new.key)
    assert (first.role_ids, first.limits) == (second.role_ids, second.limits)
    by_id = {record.id: record for record in await keys.list(tenant.id)}
    assert (by_id[new.id].replaces, by_id[new.id].note, by_id[new.id].expires_at) == (old.id, "kept", None)
    ends = by_id[old.id].expires_at
    assert ends is not None
    assert timedelta(minutes=59) < ends - datetime.now(timezone.utc) <= HOUR


async def test_without_an_overlap_the_former_key_ends_at_once(keys: ApiKeys, tenant: Tenant) -> None:
    old = await keys.create(tenant.id, "ci", ["all"], datetime.now(timezone.utc) + HOUR)
    new = await keys.rotate(tenant.id, old.id)
    with pytest.raises(CredentialError, match="expired"):
        await keys.authenticate(old.key)
    by_id = {record.id: record for record in await keys.list(tenant.id)}
    ends = by_id[new.id].expires_at
    assert ends is not None
    assert timedelta(minutes=59) < ends - datetime.now(timezone.utc) <= HOUR
    with pytest.raises(NotFoundError):
        await keys.rotate(tenant.id, old.id)


async def test_an_overlap_does_not_lengthen_a_keys_life(keys: ApiKeys, tenant: Tenant) -> None:
    ends = datetime.now(timezone.utc) + timedelta(minutes=5)
    old = await keys.create(tenant.id, "ci", ["all"], ends)
    await keys.rotate(tenant.id, old.id, HOUR)
    assert (await keys.by_id(tenant.id, old.id)).expires_at == ends


async def test_what_goes_with_a_key_can_be_changed(database: Database, keys: ApiKeys, tenant: Tenant) -> None:
    role = await create_role(database, tenant.id, "dev")
    made = await keys.create(tenant.id, "ci", ["all"], limits=Limits(5))
    await keys.update(
        tenant.id, made.id, name="nightly", roles=["dev"], expires_at=None, note="", limits=Limits(None, 3)
    )
    caller = await keys.authenticate(made.key)
    assert (caller.key_name, caller.role_ids, caller.limits) == ("nightly", (role.id,), Limits(None, 3))


async def test_a_right_is_kept_by_what_takes_over_and_ends_when_it_is_taken_away(keys: ApiKeys, tenant: Tenant) -> None:
    made = await keys.create(tenant.id, "connector", ["all"], rights=["embed", "embed"])
    assert (await keys.authenticate(made.key)).rights == ("embed",)
    rotated = await keys.rotate(tenant.id, made.id)
    assert (await keys.by_id(tenant.id, rotated.id)).rights == ("embed",)
    await keys.update(
        tenant.id, rotated.id, name="connector", roles=["all"], expires_at=None, note="", limits=Limits(), rights=[]
    )
    assert (await keys.authenticate(rotated.key)).rights == ()
    with pytest.raises(InvalidInputError, match="embed") as refused:
        await keys.create(tenant.id, "connector", ["all"], rights=["rule"])
    assert refused.value.field == "rights"


async def test_each_key_that_is_not_in_force_is_refused_with_its_reason(keys: ApiKeys, tenant: Tenant) -> None:
    past = await keys.create(tenant.id, "old", ["all"], datetime.now(timezone.utc) - HOUR)
    revoked = await keys.create(tenant.id, "gone", ["all"])
    await keys.revoke(tenant.id, revoked.id)
    for key, reason in (
        (None, "missing"),
        ("mg_short", "not one of this gateway"),
        ("mg_" + "0" * 64, "unknown"),
        (past.key, "expired"),
        (revoked.key, "revoked"),
    ):
        with pytest.raises(CredentialError, match=reason) as refused:
            await keys.authenticate(key)
        assert key is None or key not in refused.value.message
    assert [record.state for record in await keys.list(tenant.id)] == ["revoked", "expired"]


async def test_last_use_is_written_in_one_go(keys: ApiKeys, tenant: Tenant) -> None:
    made = [await keys.create(tenant.id, name, ["all"]) for name in ("a", "b", "c")]
    for each in made[:2]:
        await keys.authenticate(each.key)
    assert all(record.last_used_at is None for record in await keys.list(tenant.id))
    await keys.write_last_used()
    used = {record.name for record in await keys.list(tenant.id) if record.last_used_at is not None}
    assert used == {"a", "b"}


async def test_a_key_cannot_carry_a_profile_or_nothing(database: Database, keys: ApiKeys, tenant: Tenant) -> None:
    await Profiles(database).create(tenant.id, "few")
    with pytest.raises(NotFoundError):
        await keys.create(tenant.id, "ci", ["few"])
    with pytest.raises(InvalidInputError):
        await keys.create(tenant.id, "ci", [])
    with pytest.raises(InvalidInputError):
        await keys.create(tenant.id, "ci", ["all"], limits=Limits(-1))
