"""What searches have learnt from use, and forgetting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.admin.request_input import FORBID_EXTRA
from gateway.catalog.examples.tool_examples import ExampleSource, ExampleState
from gateway.database.pool import Database
from gateway.embedding.spaces.spaces import Spaces
from gateway.errors import InvalidInputError
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.forgetting import ForgetScope, Forgetting
from gateway.search.learning.learner import Learner
from gateway.search.learning.observation import Observation
from gateway.search.learning.usage.caller_accounts import CallerAccounts

_BEST = 5
_SHOWN_CHANGES = 50
_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class ExampleCount:
    """So many `examples` of `tools` are of this source and in this state, after so many `calls`."""

    source: ExampleSource
    state: ExampleState
    examples: int
    tools: int
    calls: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class LearningStatus:
    """What is learnt from use: `off`, counted without effect (`observe`), or `on`. An example has effect from so many
    calls or callers on. `raised_tools` are ranked by what was learnt of them.
    """

    from_use: Literal["off", "observe", "on"]
    min_calls: int
    min_callers: int
    raised_tools: int
    examples: tuple[ExampleCount, ...]


@dataclass(frozen=True, slots=True)
class ForgetInput:
    """What is to be forgotten of what was learnt from use: what fits all that is given; `everything` where that is
    nothing. `key_id` is whose calls it was learnt from, and those of whom that key acts for; in its place, `caller` is
    the name of a key, or a person by name or subject, or as the audit log has one, `SUBJECT of ISSUER`. `before`: since
    when they have not said it.
    """

    tool_id: _Id | None = None
    key_id: _Id | None = None
    caller: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    before: datetime | None = None
    everything: bool = False

    __pydantic_config__ = FORBID_EXTRA


@dataclass(frozen=True, slots=True)
class Forgotten:
    """So many texts are gone, and `lessened`: others have said them as well, and they count by what those said."""

    examples: int
    lessened: int = 0


@dataclass(frozen=True, slots=True)
class ReportedChange:
    """A text that led to calls of a tool, and the tool's place for it, counted from 1: `without` what is learnt from
    use, and `with_learning`. What is learnt from the text itself is left out.
    """

    text: str
    tool_id: int
    exposed_name: str
    without: int
    with_learning: int


@dataclass(frozen=True, slots=True)
class LearningReport:
    """What learning from use changes, or would change, in the last week: of so many `texts` that led to calls, how
    often the tool would come nearer to the first place, or further from it, and how often it is among the best five.
    """

    from_use: Literal["off", "observe", "on"]
    texts: int
    better: int
    worse: int
    in_five_without: int
    in_five_with: int
    changes: tuple[ReportedChange, ...]


class LearningService:
    """What a tenant's searches have learnt."""

    def __init__(
        self,
        database: Database,
        spaces: Spaces,
        rules: ExampleRules,
        forgetting: Forgetting,
        learner: Learner,
        observation: Observation,
    ) -> None:
        self._database = database
        self._spaces = spaces
        self._rules = rules
        self._forgetting = forgetting
        self._learner = learner
        self._observation = observation

    async def status(self, tenant_id: int) -> LearningStatus:
        """How it stands."""
        space = await self._spaces.known_active_space()
        raised = 0 if space is None else await self._database.fetchval("tools_raised", tenant_id, space.id)
        rows = await self._database.fetch("learning_counts", tenant_id)
        rules = self._rules
        counts = tuple(ExampleCount(**row) for row in rows)
        return LearningStatus(rules.from_use, rules.min_calls, rules.min_callers, raised, counts)

    async def report(self, tenant_id: int) -> LearningReport:
        """What would have been other in the last week, for one with every role of the tenant."""
        roles = tuple(row["id"] for row in await self._database.fetch("list_roles", tenant_id))
        observed = await self._observation.changes(tenant_id, roles)
        named = await self._database.fetch("tool_names", tenant_id, [each.tool_id for each in observed])
        names = {row["id"]: row["exposed_name"] for row in named}
        changes = tuple(
            ReportedChange(each.text, each.tool_id, names.get(each.tool_id, ""), each.without, each.with_learning)
            for each in observed
        )
        return LearningReport(
            self._rules.from_use,
            len(changes),
            sum(each.with_learning < each.without for each in changes),
            sum(each.with_learning > each.without for each in changes),
            sum(each.without <= _BEST for each in changes),
            sum(each.with_learning <= _BEST for each in changes),
            tuple(each for each in changes if each.with_learning != each.without)[:_SHOWN_CHANGES],
        )

    async def forget(self, tenant_id: int, wanted: ForgetInput) -> Forgotten:
        """Forget for good, with effect on the next search. Raises InvalidInputError where it is not said what, or more
        than one thing, or the caller may be several; NotFoundError where nobody is such a caller.
        """
        narrowed = any(each is not None for each in (wanted.tool_id, wanted.key_id, wanted.caller, wanted.before))
        if narrowed == wanted.everything:
            raise InvalidInputError("Say what to forget: a tool, a caller, a moment, or everything.", "everything")
        if wanted.key_id is not None and wanted.caller is not None:
            raise InvalidInputError("A caller is a key_id or a caller, not both; leave one of them out.", "caller")
        callers = CallerAccounts(self._database)
        accounts: Sequence[str | None] = [None]
        if wanted.key_id is not None:
            accounts = await callers.of_key(tenant_id, wanted.key_id)
        elif wanted.caller is not None:
            accounts = await callers.find(tenant_id, wanted.caller)
        gone = lessened = 0
        for account in accounts:
            scope = ForgetScope(wanted.tool_id, account, wanted.before)
            forgotten = await self._forgetting.forget(tenant_id, scope)
            gone, lessened = gone + forgotten.gone, lessened + forgotten.lessened
        await self._learner.refresh_tenant(tenant_id)
        return Forgotten(gone, lessened)
