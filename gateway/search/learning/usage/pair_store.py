"""Pairs of what was searched for and what was called then, counted in the database as examples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from gateway.catalog.examples.example_text import text_key
from gateway.catalog.examples.tool_examples import MAX_EXAMPLES
from gateway.database.connection import DatabaseConnection, Row
from gateway.database.pool import Database
from gateway.embedding.spaces.space_store import StoredSpace
from gateway.search.learning.example_weight import ExampleRules
from gateway.search.learning.usage.known_texts import KnownText, KnownTexts
from gateway.search.ranking import Floats

MEANT = 0.1
"""What has a lower cosine to a tool's own text may have nothing to do with it: an admin has to say that it is meant."""

# By how many it is said matters for how much of it is of one account; from so many on that is little.
_FEW_CALLERS = 5


@dataclass(frozen=True, slots=True)
class QueryToolPair:
    """A call of a tool that followed a search: `text` is the query and `account` the key or person.

    `weight` is 1, or less for a later call after the same search; `at` is when it was searched for.
    """

    tenant_id: int
    tool_id: int
    account: str
    text: str
    weight: float
    at: datetime


@dataclass(frozen=True, slots=True)
class EmbeddedPair:
    """A pair whose text is `vector`, float32 (d,), as a query's: it may be longer than 1."""

    pair: QueryToolPair
    vector: Floats


@dataclass(frozen=True, slots=True)
class _CountedPair:
    """A pair and the example that it counts for."""

    pair: QueryToolPair
    text: KnownText


class PairStore:
    """Counts pairs, many in one transaction."""

    def __init__(self, database: Database, rules: ExampleRules) -> None:
        self._database = database
        self._rules = rules

    async def count(self, tenant_id: int, pairs: Sequence[EmbeddedPair], space: StoredSpace) -> set[int]:
        """Count pairs of one tenant, in their order, embedded in `space`; returns the tools of which it changes what
        examples have effect. It takes as many statements for many pairs as for one.

        What an account says counts once a day for a tool, however often it says it. Nothing is counted of a tool that
        is gone, nor of what was searched for before it was to be forgotten.
        """
        async with self._database.tenant_transaction(tenant_id) as transaction:
            # What is to be forgotten at this moment is forgotten before or after it.
            counted = await self._countable(transaction, tenant_id, [each.pair for each in pairs])
            wanted = [pairs[place] for place in counted]
            if not wanted:
                return set()
            known = await self._known(transaction, tenant_id, wanted, space)
            said, new = _examples_of(wanted, known)
            await self._insert(transaction, tenant_id, new, space)
            await self._count_accounts(transaction, tenant_id, said)
            # Before room is made, or what is said for the first time were always the least.
            ids = sorted({each.text.id for each in said})
            changed = {
                row["tool_id"]
                for row in await transaction.fetch("recount_examples", tenant_id, ids)
                if self._is_changed(row)
            }
            tools = sorted({text.tool_id for text, _ in new})
            for row in await transaction.fetch("drop_least_examples", tenant_id, tools, MAX_EXAMPLES) if tools else ():
                if self._has_effect(row, row["calls"], row["callers"]):
                    changed.add(row["tool_id"])
            if changed:
                await transaction.execute("touch_learning", tenant_id, sorted(changed))
            return changed

    async def _countable(
        self, transaction: DatabaseConnection, tenant_id: int, pairs: Sequence[QueryToolPair]
    ) -> Collection[int]:
        """The places of those that may be learnt, from 0 on."""
        rows = await transaction.fetch(
            "countable_pairs",
            tenant_id,
            [pair.tool_id for pair in pairs],
            [pair.account for pair in pairs],
            [pair.at for pair in pairs],
        )
        return sorted(row["place"] - 1 for row in rows)

    async def _known(
        self, transaction: DatabaseConnection, tenant_id: int, pairs: Sequence[EmbeddedPair], space: StoredSpace
    ) -> KnownTexts:
        """The examples that pairs may count for: most are said word for word, and of the others' tools all are read."""
        texts = sorted({(each.pair.tool_id, text_key(each.pair.text)) for each in pairs})
        same = await transaction.fetch("examples_of_texts", tenant_id, *map(list, zip(*texts, strict=True)))
        found = {(row["tool_id"], row["text_key"]) for row in same}
        tools = sorted({tool_id for tool_id, key in texts if (tool_id, key) not in found})
        known = KnownTexts()
        if tools:
            known.add_rows(await transaction.fetch("examples_with_vectors", tenant_id, tools, space.id))
        for row in same:
            known.add(KnownText(row["tool_id"], row["text_key"], None, row["id"]))
        return known

    async def _insert(
        self,
        transaction: DatabaseConnection,
        tenant_id: int,
        new: Sequence[tuple[KnownText, EmbeddedPair]],
        space: StoredSpace,
    ) -> None:
        """Keep what is said for the first time, and note under which ids."""
        if not new:
            return
        tools = sorted({text.tool_id for text, _ in new})
        own = {
            row["tool_id"]: row["ranking_embedding"].to_numpy().astype(np.float32)
            for row in await transaction.fetch("ranking_vectors", tenant_id, tools, space.id)
        }
        rows = await transaction.fetch(
            "insert_used_examples",
            tenant_id,
            [text.tool_id for text, _ in new],
            [said.pair.text for _, said in new],
            [text.text_key for text, _ in new],
            ["counted" if _is_meant(own.get(text.tool_id), said.vector) else "waiting" for text, said in new],
            [said.pair.at for _, said in new],
        )
        ids = {(row["tool_id"], row["text_key"]): row["id"] for row in rows}
        for text, _ in new:
            text.id = ids[text.tool_id, text.text_key]
        await transaction.executemany(
            "store_example_embedding",
            [(tenant_id, text.id, space.id, said.vector, said.pair.text) for text, said in new],
        )

    async def _count_accounts(
        self, transaction: DatabaseConnection, tenant_id: int, said: Sequence[_CountedPair]
    ) -> None:
        """What one says of an example on several days is several statements; the others of a day do not count."""
        rounds: list[dict[tuple[int, str], QueryToolPair]] = []
        days: dict[tuple[int, str], list[int]] = {}
        for each in said:
            who, day = (each.text.id, each.pair.account), _day(each.pair.at)
            before = days.setdefault(who, [])
            if before and day <= before[-1]:
                continue
            if len(before) == len(rounds):
                rounds.append({})
            rounds[len(before)][who] = each.pair
            before.append(day)
        for counted in rounds:
            await transaction.execute(
                "count_example_callers",
                tenant_id,
                [example_id for example_id, _ in counted],
                [account for _, account in counted],
                [pair.weight for pair in counted.values()],
                [pair.at for pair in counted.values()],
                [pair.text for pair in counted.values()],
                [text_key(pair.text) for pair in counted.values()],
            )

    def _is_changed(self, row: Row) -> bool:
        before = self._has_effect(row, row["calls_before"], row["callers_before"])
        after = self._has_effect(row, row["calls"], row["callers"])
        return after != before or (after and row["callers"] > row["callers_before"] and row["callers"] <= _FEW_CALLERS)

    def _has_effect(self, row: Row, calls: int, callers: int) -> bool:
        return self._rules.weight({**row, "calls": calls, "callers": callers}, is_trusted=True) > 0


def _examples_of(
    pairs: Sequence[EmbeddedPair], known: KnownTexts
) -> tuple[list[_CountedPair], list[tuple[KnownText, EmbeddedPair]]]:
    """What each pair counts for, and those texts that nobody has said before, each with the first pair that says it."""
    said, new = [], []
    for each in pairs:
        key = text_key(each.pair.text)
        text = known.find(each.pair.tool_id, key, each.vector)
        if text is None:
            text = KnownText(each.pair.tool_id, key, each.vector)
            known.add(text)
            new.append((text, each))
        said.append(_CountedPair(each.pair, text))
    return said, new


def _is_meant(own: Floats | None, vector: Floats) -> bool:
    return own is not None and float(own @ vector) >= MEANT * float(np.linalg.norm(own))


def _day(at: datetime) -> int:
    """The day (UTC), as a number."""
    return at.astimezone(timezone.utc).toordinal()
