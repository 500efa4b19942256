"""Who a caller is, told apart from everybody else."""

from __future__ import annotations

from gateway.access.caller import Caller, Profile

AT_SEVEN = Profile(7, "few", "", "search", 1)
HOME, ABROAD = "https://login.example.com", "https://login.example.org"


def signed_in(subject: str, issuer: str = HOME, profile: Profile | None = None) -> Caller:
    return Caller(1, 0, subject, (1,), subject=subject, issuer=issuer, profile=profile)


def test_no_subject_can_be_taken_for_another_at_a_profile() -> None:
    """A provider may give out any text as a subject."""
    alice, at_a_profile = signed_in("alice"), signed_in("alice", profile=AT_SEVEN)
    others = [signed_in(subject) for subject in ("alice@7", at_a_profile.identity, alice.identity, "key-1", "7:alice")]
    keys = [Caller(1, 1, "key", (1,)), Caller(1, 1, "key", (1, 7), profile=AT_SEVEN)]
    callers = [alice, at_a_profile, *keys, *others]
    assert len({caller.identity for caller in callers}) == len(callers)


def test_one_subject_of_two_issuers_is_two_callers() -> None:
    assert signed_in("alice").identity != signed_in("alice", ABROAD).identity
    # Nor can issuer and subject be cut at another place.
    assert signed_in("b:alice", "https://a").identity != signed_in("alice", "https://a:b").identity
    assert signed_in("alice").identity == signed_in("alice").identity
