"""What a process has to know of a session that another one holds to answer requests in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.access.caller import Caller
from gateway.downstream.protocol.sessions.client_sessions import LiveSession
from gateway.json_codec import Message


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """`identity` is whose session it is, `role_ids` are the roles with which its holder last saw them."""

    id: str
    identity: str
    role_ids: tuple[int, ...]
    log_level: str | None
    capabilities: Mapping[str, Any]

    @classmethod
    def of(cls, live: LiveSession) -> SessionFacts:
        """Those of a session that is here."""
        caller = live.caller
        return cls(live.id, caller.identity, caller.role_ids, live.log_level, live.capabilities)

    @classmethod
    def from_wire(cls, wire: Message) -> SessionFacts:
        """What `to_wire` gave."""
        level = wire["log_level"]
        return cls(
            str(wire["id"]),
            str(wire["identity"]),
            tuple(wire["role_ids"]),
            None if level is None else str(level),
            dict(wire["capabilities"]),
        )

    def to_wire(self) -> Message:
        """As another member reads it."""
        return {
            "id": self.id,
            "identity": self.identity,
            "role_ids": list(self.role_ids),
            "log_level": self.log_level,
            "capabilities": dict(self.capabilities),
        }

    def are_of(self, caller: Caller) -> bool:
        """Whether it is the session of `caller`, as the holder knows them."""
        return self.identity == caller.identity and self.role_ids == caller.role_ids
