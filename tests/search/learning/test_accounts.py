"""Who counts as one caller."""

from __future__ import annotations

from datetime import timedelta

from gateway.access.caller import Caller
from gateway.access.persons import Identity
from gateway.components import Components
from gateway.search.learning.usage.caller_accounts import CallerAccounts
from gateway.search.learning.usage.use_learning import account_of

ANNA = Identity("https://login.example", "anna")


def test_a_person_is_one_with_however_many_keys_and_signed_in() -> None:
    first = Caller(1, 5, "laptop", (1,), acts_for=ANNA)
    second = Caller(1, 6, "phone", (1,), acts_for=ANNA)
    signed_in = Caller(1, 0, "anna", (1,), subject=ANNA.subject, issuer=ANNA.issuer)
    assert account_of(first) == account_of(second) == account_of(signed_in)


def test_keys_that_act_for_themselves_are_several_and_one_that_took_the_place_of_another_is_that_one() -> None:
    assert account_of(Caller(1, 5, "build", (1,))) == "key 5"
    assert account_of(Caller(1, 6, "build", (1,))) == "key 6"
    assert account_of(Caller(1, 7, "build", (1,), acts_for=Identity("key", "5"))) == "key 5"


async def test_by_the_number_of_a_key_all_is_forgotten_that_is_counted_for_it(parts: Components) -> None:
    former = await parts.keys.create(1, "build", ["all"])
    latter = await parts.keys.rotate(1, former.id, timedelta(hours=1))
    callers = [await parts.keys.authenticate(each.key) for each in (former, latter)]
    assert [account_of(caller) for caller in callers] == [f"key {former.id}"] * 2
    for each in (former, latter):
        accounts = await CallerAccounts(parts.database).find(1, str(each.id))
        assert set(accounts) == {f"key {former.id}", f"key {each.id}"}
