"""What the audit log tells of: uses of tools by API keys, and all else that anybody did or tried."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.database.actor import Actor

UseOutcome = Literal["ok", "tool error", "failed", "denied", "unknown", "limited", "invalid"]
"""`tool error`: the tool says so. `failed`: the server or the gateway does. `denied`: there, but not for this caller,
answered as `unknown` is; or a person has not allowed it, or not yet, which the error says. `limited`: over a limit of
the key. `invalid`: arguments that cannot be."""


GuardVerdict = Literal["passed", "observed", "masked", "denied", "failed"]
"""`observed`: found, and let through as it was. `failed`: the guard could not tell; what then is done is its rule's to
say."""


class AuditedCaller(Protocol):
    """Whose call or search it is: what the audit keeps of a caller. `key_id` is 0 where there is no API key;
    `audited_person` is empty where nobody is behind the key."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def key_id(self) -> int: ...
    @property
    def key_name(self) -> str: ...
    @property
    def audited_person(self) -> str: ...
    @property
    def role_ids(self) -> tuple[int, ...]: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class GuardDecision:
    """What the guard of a rule did about the arguments or the result, for so many findings; none of these is named."""

    rule: str
    guard: str
    stage: Literal["arguments", "result"]
    verdict: GuardVerdict
    count: int

    def as_json(self) -> dict[str, Any]:
        """The same as the trace keeps it."""
        return {
            "rule": self.rule,
            "guard": self.guard,
            "stage": self.stage,
            "verdict": self.verdict,
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call or a search, from its beginning `at` (seconds since the epoch) to its end `duration_ms` later.

    `target` is the name that was called, or the queries; `found` are the ids of the tools that a search returned and
    `results` is how many there are. `error` says what went wrong, `result` is the head of what the tool answered.
    `person` is who is behind it, where the caller does not say.
    """

    kind: Literal["call", "search"]
    caller: AuditedCaller
    target: str
    outcome: UseOutcome
    at: float
    duration_ms: float
    server_id: int | None = None
    tool_id: int | None = None
    arguments: Mapping[str, Any] | None = None
    results: int | None = None
    found: tuple[int, ...] = ()
    error: str | None = None
    result: tuple[str, ...] = ()
    guards: tuple[GuardDecision, ...] = ()
    person: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What was done, or tried, beside the use of tools. `tenant_id` 0 is the gateway as a whole.

    Changes that the database holds are written to the audit log by the database itself; this is for what it does not
    see: what was refused, and what leaves no row. `details` are JSON values, `arguments` those of a call; `role_ids`
    are written as the names that the roles have, after those of the actor. `started`: written before it is done.
    """

    actor: Actor
    action: str
    target: str
    outcome: UseOutcome | Literal["started"]
    tenant_id: int = 0
    duration_ms: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    role_ids: tuple[int, ...] = ()
    arguments: Mapping[str, Any] | None = None
