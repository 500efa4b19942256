"""What guards would have done about the last calls, by what the trace has kept of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.audit.events import GuardVerdict
from gateway.database.connection import Row
from gateway.guards.content import GuardedUse
from gateway.guards.guards import Guards
from gateway.guards.rule import Stage, StoredGuardRule
from gateway.json_codec import encode
from gateway.masking import MASK

MAX_CALLS = 1_000
"""How many calls may be looked at."""
_MAX_EXAMPLES = 20
_MAX_FAILURES = 5
_SHOWN_CHARACTERS = 200
# The trace has the beginning of a result's text.
_OF_WHOLE_RESULTS = ("size", "schema")


@dataclass(frozen=True, slots=True)
class DryRunExample:
    """A call about which the guard would have done something."""

    call_id: int
    at: datetime
    target: str
    key: str
    stage: Stage
    verdict: GuardVerdict
    count: int


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """What a guard would have done about so many `calls`, by what is kept of them.

    `arguments` and `results` are how many of these the trace has whole and the rule is about; `masked` of the calls had
    secrets, which the trace has masked, so that nobody can tell what a guard would have found in their place.
    """

    guard: str
    calls: int
    arguments: int
    results: int
    masked: int
    verdicts: Mapping[str, int]
    examples: tuple[DryRunExample, ...] = field(default=())


class DryRun:
    """Has a guard look at past calls; nothing is changed, and nothing recorded."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards

    async def run(self, tenant_id: int, stored: StoredGuardRule, calls: int = 100) -> DryRunReport:
        """The report of one rule, whether it is switched on or not. Raises DatabaseError.

        A webhook is asked, and a plugin too; one that fails five times is not asked again.
        """
        rows = await self._guards.rules.last_calls(tenant_id, min(calls, MAX_CALLS))
        chain = self._guards.build_chain(tenant_id, stored)
        looked_at: dict[Stage, int] = {"arguments": 0, "result": 0}
        verdicts: dict[str, int] = {}
        examples: list[DryRunExample] = []
        masked = 0
        for row in rows:
            use = _use(tenant_id, row)
            contents = _contents(row)
            masked += any(MASK.encode() in encode(value) for value in contents.values())
            for stage, value in contents.items():
                if stage == "result" and stored.rule.guard in _OF_WHOLE_RESULTS:
                    continue
                if not chain.applies(use, stage) or verdicts.get("failed", 0) >= _MAX_FAILURES:
                    continue
                looked_at[stage] += 1
                outcome = await chain.check(use, stage, value)
                for decision in outcome.decisions:
                    verdicts[decision.verdict] = verdicts.get(decision.verdict, 0) + 1
                    if len(examples) < _MAX_EXAMPLES:
                        examples.append(
                            DryRunExample(
                                row["id"], row["at"], use.target, use.caller, stage, decision.verdict, decision.count
                            )
                        )
        if not stored.rule.enabled:
            await self._guards.trim(tenant_id)
        return DryRunReport(
            stored.rule.name, len(rows), looked_at["arguments"], looked_at["result"], masked, verdicts, tuple(examples)
        )


def _use(tenant_id: int, row: Row) -> GuardedUse:
    return GuardedUse(
        tenant_id,
        tuple(row["role_ids"]),
        row["key_name"],
        "tools",
        row["server_id"] or 0,
        row["server"] or "",
        (row["exposed_name"] or row["target"])[:_SHOWN_CHARACTERS],
        row["tool_id"],
        row["category"],
    )


def _contents(row: Row) -> dict[Stage, Any]:
    """What the trace has of a call: arguments that were not cut, and the text of a result."""
    contents: dict[Stage, Any] = {}
    if isinstance(row["arguments"], dict):
        contents["arguments"] = row["arguments"]
    if row["result"]:
        contents["result"] = {"content": [{"type": "text", "text": row["result"]}]}
    return contents
