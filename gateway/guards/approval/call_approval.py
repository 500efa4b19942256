"""An approval of one call: what it holds for, and how it stands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import rfc8785

from gateway.access.connections.named_person import named_in
from gateway.access.persons import Identity

ApprovalState = Literal["asked", "approved", "denied", "used", "expired", "withdrawn"]
Decision = Literal["approved", "denied"]
DecidedVia = Literal["admin", "key", "webhook", "command line"]


@dataclass(frozen=True, slots=True)
class ApprovalRequirement:
    """That calls of a tool wait. `policy_version` names the rules that say so, at the versions they have;
    `definition_hash` is that of the `definition` (JSON text) that the tool has.
    """

    policy_version: str
    definition_hash: bytes
    definition: str
    tool_name: str


@dataclass(frozen=True, slots=True)
class CallBinding:
    """All that an approval holds for; a call that differs in any of it is another. `caller` is a caller's identity at
    the server (`identity_at`), `person` whoever is behind it.
    """

    tenant_id: int
    caller: str
    person: Identity
    server_id: int
    tool_id: int
    arguments_digest: bytes
    definition_hash: bytes
    policy_version: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        parts: list[int | str] = [
            self.tenant_id,
            *(_hex(text) for text in (self.caller, self.person.issuer, self.person.subject)),
            self.server_id,
            self.tool_id,
            self.arguments_digest.hex(),
            self.definition_hash.hex(),
            self.policy_version,
        ]
        return hashlib.sha256(rfc8785.dumps(parts)).digest()


@dataclass(frozen=True, slots=True)
class CallApproval:
    """An approval as it stands.

    `binding` is the digest of all that it holds for. `key_id` (0 without a key), `person` and `asked_by` say who asks,
    `definition` is the JSON text that the tool had then. Until `expires_at` it may be decided, and once it is that
    holds. For a task the call is made when somebody asks how it goes: `is_begun` says that somebody began to make it,
    `is_running` that they still do, `is_done` that its result is kept.
    """

    tenant_id: int
    id: str
    binding: bytes
    state: ApprovalState
    caller: str
    key_id: int
    person_issuer: str
    person_subject: str
    asked_by: str
    server_id: int
    server_name: str
    tool_id: int
    tool_name: str
    definition: str
    policy_version: str
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decided_via: DecidedVia | None
    reason: str | None
    used_at: datetime | None
    is_task: bool
    is_cancelled: bool
    is_begun: bool
    is_running: bool
    is_done: bool

    @property
    def person(self) -> Identity:
        """Who is behind the call."""
        return Identity(self.person_issuer, self.person_subject)

    @property
    def named(self) -> str:
        """Whom a trusted proxy named behind the caller, as `named_person` has it."""
        return named_in(self.caller)

    @property
    def waits(self) -> bool:
        """Whether somebody may still decide."""
        return self.state == "asked"


@dataclass(frozen=True, slots=True)
class Approver:
    """Who decides: an admin, a key, whoever the chat tool behind the webhook names, or somebody at the command line.

    `person` is who that is, None where nobody vouches for it. `named` are all under which a trusted proxy may name them
    at the server of the call, as `named_person` has it.
    """

    name: str
    via: DecidedVia
    key_id: int = 0
    person: Identity | None = None
    named: frozenset[str] = frozenset()


def _hex(text: str) -> str:
    return text.encode(errors="surrogatepass").hex()
