"""Who a caller is, told apart from everybody else."""

from __future__ import annotations

from gateway.access.caller import Caller, Profile

AT_SEVEN = Profile(7, "few", "", "search", 1)


def test_no_subject_can_be_taken_for_another_at_a_profile() -> None:
    """A provider may give out any text as a subject."""
    alice = Caller(1, 0, "alice", (1,), subject="alice")
    at_a_profile = Caller(1, 0, "alice", (1, 7), subject="alice", profile=AT_SEVEN)
    others = [
        Caller(1, 0, "alice", (1,), subject=subject)
        for subject in ("alice@7", at_a_profile.identity, "profile-7:subject-alice", "key-1", "7:alice")
    ]
    key = Caller(1, 1, "key", (1,))
    identities = [caller.identity for caller in (alice, at_a_profile, key, *others)]
    identities.append(Caller(1, 1, "key", (1, 7), profile=AT_SEVEN).identity)
    assert len(set(identities)) == len({caller.subject for caller in (alice, *others)}) + 3
