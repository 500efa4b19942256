"""A channel on which each frame is signed, between two processes that have shown each other that they share a key.

Both put in a nonce, from which the key of each direction is derived; a frame is signed with its number, so that none
can be forged, changed, left out, repeated, or taken from another connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cluster.links.channel import MAX_FRAME_BYTES, Channel
from gateway.errors import LinkLostError, LinkRefusedError

_HANDSHAKE_BYTES = 4096
_HANDSHAKE_SECONDS = 2.0
_MAC_BYTES = 16
# A recorded beginning is of no use in any case, without the nonce of the other side; this is how far clocks may differ.
_MAX_CLOCK_DIFFERENCE = 300.0
_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class HopKey:
    """A key for the hop; `id` names it without telling it."""

    id: str
    secret: bytes

    @classmethod
    def of(cls, secret: bytes) -> HopKey:
        """The key made of these bytes."""
        return cls(hashlib.sha256(b"modelgate hop key " + secret).hexdigest()[:16], secret)


ReadKeys = Callable[[], Sequence[HopKey]]
"""The keys in force just now, the newest first."""


class SignedChannel:
    """Signs what it sends and believes only what is signed."""

    def __init__(self, channel: Channel, send_key: bytes, receive_key: bytes) -> None:
        self._channel = channel
        self._send_key = send_key
        self._receive_key = receive_key
        self._sent = 0
        self._received = 0

    async def send(self, frame: bytes) -> None:
        self._sent += 1
        await self._channel.send(_mac(self._send_key, self._sent, frame) + frame)

    async def receive(self, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
        signed = await self._channel.receive(max_bytes)
        mac, frame = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        self._received += 1
        if not hmac.compare_digest(mac, _mac(self._receive_key, self._received, frame)):
            self.close()
            raise LinkLostError()
        return frame

    def close(self) -> None:
        self._channel.close()


async def greet(channel: Channel, keys: ReadKeys, own_id: str, peer_id: str) -> SignedChannel:
    """Show the member `peer_id` behind a new channel that this one is `own_id`, and have it show the same.

    Raises LinkRefusedError where it is somebody else, or has another key, and LinkLostError where it says nothing.
    """
    offered = {key.id: key for key in keys()}
    hello = json.dumps(
        {
            "from": own_id,
            "to": peer_id,
            "nonce": secrets.token_hex(_NONCE_BYTES),
            "time": time.time(),
            "keys": list(offered),
        }
    ).encode()
    await channel.send(hello)
    answer = _parse(await _receive_soon(channel))
    if "refused" in answer:
        raise LinkRefusedError(str(answer["refused"]))
    key, nonce = offered.get(str(answer.get("key"))), str(answer.get("nonce"))
    if key is None or not _is_signed(answer, key.secret, b"listener", hello, nonce):
        raise LinkRefusedError("it could not show that it has the same encryption key")
    await channel.send(json.dumps({"mac": _sign(key.secret, b"dialer", hello, nonce)}).encode())
    return SignedChannel(channel, *_direction_keys(key.secret, hello, nonce))


async def admit(channel: Channel, keys: ReadKeys, own_id: str) -> tuple[str, SignedChannel]:
    """Let a member in that has opened a channel; returns its id with the signed channel.

    Raises LinkRefusedError and LinkLostError as `greet`; who is refused is told why.
    """
    hello = await _receive_soon(channel)
    said = _parse(hello)
    key = next((key for key in keys() if key.id in _texts(said.get("keys"))), None)
    refusal = _refusal(said, own_id, key)
    if refusal or key is None:
        await channel.send(json.dumps({"refused": refusal}).encode())
        raise LinkRefusedError(refusal)
    nonce = secrets.token_hex(_NONCE_BYTES)
    await channel.send(
        json.dumps({"key": key.id, "nonce": nonce, "mac": _sign(key.secret, b"listener", hello, nonce)}).encode()
    )
    if not _is_signed(_parse(await _receive_soon(channel)), key.secret, b"dialer", hello, nonce):
        raise LinkRefusedError("it could not show that it has the same encryption key")
    to_listener, to_dialer = _direction_keys(key.secret, hello, nonce)
    return str(said["from"]), SignedChannel(channel, to_dialer, to_listener)


def _refusal(said: dict[str, Any], own_id: str, key: HopKey | None) -> str:
    if said.get("to") != own_id:
        return "another member is meant"
    if key is None:
        return "it has another encryption key"
    sent_at = said.get("time")
    if not isinstance(sent_at, float) or abs(time.time() - sent_at) > _MAX_CLOCK_DIFFERENCE:
        return f"its clock differs by more than {_MAX_CLOCK_DIFFERENCE:.0f} s"
    return ""


async def _receive_soon(channel: Channel) -> bytes:
    try:
        return await asyncio.wait_for(channel.receive(_HANDSHAKE_BYTES), _HANDSHAKE_SECONDS)
    except asyncio.TimeoutError:
        raise LinkLostError() from None


def _parse(frame: bytes) -> dict[str, Any]:
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError):
        raise LinkRefusedError("it does not speak as a member does") from None
    if not isinstance(value, dict):
        raise LinkRefusedError("it does not speak as a member does")
    return value


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _sign(secret: bytes, side: bytes, hello: bytes, nonce: str) -> str:
    return hmac.digest(secret, b"\n".join((side, nonce.encode(), hello)), hashlib.sha256).hex()


def _is_signed(message: dict[str, Any], secret: bytes, side: bytes, hello: bytes, nonce: str) -> bool:
    return hmac.compare_digest(str(message.get("mac")).encode(), _sign(secret, side, hello, nonce).encode())


def _direction_keys(secret: bytes, hello: bytes, nonce: str) -> tuple[bytes, bytes]:
    """Those for what goes to the listener and for what goes to the dialer."""
    return (
        bytes.fromhex(_sign(secret, b"frames to the listener", hello, nonce)),
        bytes.fromhex(_sign(secret, b"frames to the dialer", hello, nonce)),
    )


def _mac(key: bytes, number: int, frame: bytes) -> bytes:
    return hmac.digest(key, number.to_bytes(8, "big") + frame, "sha256")[:_MAC_BYTES]
