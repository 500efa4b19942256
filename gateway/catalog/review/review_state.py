"""What is held against a tool, and how that changes with the definition that its server lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.catalog.scan.finding import Finding

OnChange = Literal["accept", "flag", "quarantine"]
ON_CHANGE_POLICIES: tuple[OnChange, ...] = ("accept", "flag", "quarantine")

Approver = Literal["person", "policy", "rollback"]

NEW_TOOL = "It is new, and what is new of this server waits for approval."
CHANGED_TOOL = "It has changed since it was approved."
HIDDEN_BY_ADMIN = "An admin has put it here."
FOUND_BY_SCAN = "The scan found: "
NOT_APPROVED_SINCE = "It was quarantined before, and nobody has approved it since."


@dataclass(frozen=True, slots=True)
class ReviewState:
    """What is held against a tool: the hash approved last, who approved that, and why the tool is quarantined.

    `approved_by` is a `person` who approved this very definition, the server's `policy`, which takes definitions on
    trust, or a `rollback` that brought it back; None where nobody did, or the tool was quarantined with it since.
    """

    approved_hash: bytes | None = None
    approved_by: Approver | None = None
    quarantine: str | None = None

    def approver_of(self, content_hash: bytes) -> Approver | None:
        """Who approved the definition with this hash, where that still holds."""
        return self.approved_by if self.approved_hash == content_hash else None


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """What decides over definitions that nobody has looked at.

    `first_sync`: the server's admin has just added it, and its tools with it. `rollback`: an admin went back to these
    definitions. `quarantine_findings`: what the scan holds against a definition hides the tool.
    """

    on_change: OnChange
    first_sync: bool
    rollback: bool
    quarantine_findings: bool

    def trusts(self, *, new: bool) -> bool:
        """Whether a definition is approved unseen, of a tool never seen before or not."""
        if self.rollback or self.on_change == "accept":
            return True
        return new and (self.first_sync or self.on_change == "flag")


def next_review_state(
    before: ReviewState | None, content_hash: bytes, findings: Sequence[Finding], policy: ReviewPolicy
) -> ReviewState:
    """How a tool stands with the definition that it has from now on; `before` is None for a tool never seen.

    A tool leaves quarantine with the definition that was approved last, unless it was quarantined with that one since;
    with any other it waits for a person.
    """
    state = before or ReviewState()
    approver = state.approver_of(content_hash)
    rules = list(dict.fromkeys(finding.rule for finding in findings if finding.is_serious))
    if rules and policy.quarantine_findings and approver != "person":
        # What the scan finds voids an approval by nobody in particular.
        approved_by = None if approver else state.approved_by
        quarantine = HIDDEN_BY_ADMIN if state.quarantine == HIDDEN_BY_ADMIN else f"{FOUND_BY_SCAN}{', '.join(rules)}."
        return replace(state, approved_by=approved_by, quarantine=quarantine)
    if approver:
        return replace(state, quarantine=None)
    if state.quarantine is not None:
        return replace(
            state, quarantine=NOT_APPROVED_SINCE if state.quarantine.startswith(FOUND_BY_SCAN) else state.quarantine
        )
    if policy.trusts(new=before is None):
        return ReviewState(content_hash, "rollback" if policy.rollback else "policy")
    if policy.on_change == "quarantine":
        return replace(state, quarantine=NEW_TOOL if before is None else CHANGED_TOOL)
    return state
