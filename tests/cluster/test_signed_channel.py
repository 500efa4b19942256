"""Channels between processes: only those that share the key get through, and nothing on the way can be changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.cluster.links.channel import MAX_FRAME_BYTES
from gateway.cluster.links.signed_channel import HopKey, SignedChannel, admit, greet
from gateway.errors import LinkLostError, LinkRefusedError

OLD, NEW, OTHER = (HopKey.of(name.encode()) for name in ("old", "new", "other"))


class End:
    """One end of a connection in memory; what it has sent is kept."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sent: list[bytes] = []
        self.other: End

    async def send(self, frame: bytes) -> None:
        self.sent.append(frame)
        self.other.arrived.put_nowait(frame)

    async def receive(self, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        frame = await self.arrived.get()
        if frame is None or len(frame) > max_bytes:
            raise LinkLostError
        return frame

    def close(self) -> None:
        self.other.arrived.put_nowait(None)
        self.arrived.put_nowait(None)


def ends() -> tuple[End, End]:
    dialer, listener = End(), End()
    dialer.other, listener.other = listener, dialer
    return dialer, listener


async def meet(
    dialer: End, listener: End, dialer_keys: Sequence[HopKey], listener_keys: Sequence[HopKey], to: str = "listener"
) -> tuple[SignedChannel, SignedChannel]:
    admitting = asyncio.ensure_future(admit(listener, lambda: listener_keys, "listener"))
    try:
        greeted = await greet(dialer, lambda: dialer_keys, "dialer", to)
    finally:
        await asyncio.wait((admitting,))
        failure = admitting.exception()
    assert failure is None
    peer, admitted = admitting.result()
    assert peer == "dialer"
    return greeted, admitted


@pytest.mark.parametrize(("dialer_keys", "listener_keys"), [([NEW], [NEW]), ([NEW, OLD], [OLD]), ([OLD], [NEW, OLD])])
async def test_members_that_share_any_key_reach_each_other(
    dialer_keys: list[HopKey], listener_keys: list[HopKey]
) -> None:
    near, far = await meet(*ends(), dialer_keys, listener_keys)
    for number in range(3):
        await near.send(b"there %d" % number)
        await far.send(b"back %d" % number)
    assert [await far.receive() for _ in range(3)] == [b"there 0", b"there 1", b"there 2"]
    assert [await near.receive() for _ in range(3)] == [b"back 0", b"back 1", b"back 2"]


async def test_a_member_with_another_key_and_one_that_means_another_are_told_why_they_are_refused() -> None:
    with pytest.raises(LinkRefusedError) as refused:
        await meet(*ends(), [OTHER], [NEW])
    assert refused.value.reason == "it has another encryption key"
    with pytest.raises(LinkRefusedError) as refused:
        await meet(*ends(), [NEW], [NEW], to="somebody else")
    assert refused.value.reason == "another member is meant"


async def test_a_member_whose_clock_is_far_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((1_000.0, 1_301.0))
    monkeypatch.setattr("gateway.cluster.links.signed_channel.time.time", lambda: next(times))
    with pytest.raises(LinkRefusedError, match="reached") as refused:
        await meet(*ends(), [NEW], [NEW])
    assert "clock" in refused.value.reason


async def test_who_only_claims_to_have_the_key_learns_nothing_and_is_not_believed() -> None:
    dialer, listener = ends()
    claimed = HopKey(NEW.id, b"guessed")
    with pytest.raises(LinkRefusedError, match="reached"):
        await meet(dialer, listener, [claimed], [NEW])
    assert not any(NEW.secret in frame for frame in dialer.sent + listener.sent)


async def test_what_was_recorded_opens_no_other_channel() -> None:
    dialer, listener = ends()
    near, _ = await meet(dialer, listener, [NEW], [NEW])
    await near.send(b"do it")
    again, listening = ends()
    admitting = asyncio.ensure_future(admit(listening, lambda: [NEW], "listener"))
    for frame in dialer.sent:
        await again.send(frame)
    with pytest.raises(LinkRefusedError):
        await admitting


@pytest.mark.parametrize("change", ["changed", "repeated", "left out", "swapped", "cut", "of the other side"])
async def test_a_frame_that_is_not_as_it_was_sent_ends_the_channel(change: str) -> None:
    dialer, listener = ends()
    near, far = await meet(dialer, listener, [NEW], [NEW])
    await near.send(b"first")
    await near.send(b"second")
    first, second = [listener.arrived.get_nowait() for _ in range(2)]
    assert first is not None
    assert second is not None
    await far.send(b"first")
    frames = {
        "changed": [first[:-1] + b"T"],
        "repeated": [first, first],
        "left out": [second],
        "swapped": [second, first],
        "cut": [first[:-1]],
        "of the other side": [listener.sent[-1]],
    }[change]
    for frame in frames:
        listener.arrived.put_nowait(frame)
    with pytest.raises(LinkLostError):
        await receive_all(far, len(frames))


async def receive_all(channel: SignedChannel, frames: int) -> None:
    for _ in range(frames):
        await channel.receive()
